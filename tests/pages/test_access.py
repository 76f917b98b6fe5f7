"""Every address of the pages there is, read from the URL table: who may look, who may change, and what a stranger gets.

A page that is new stands here by itself. If its address names a row of a new kind, `OF_A_ROW` must learn to make one.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.urls import URLPattern, reverse

from tests import factories
from tests.pages.conftest import Person
from trackly.models import Account, Membership
from trackly.pages import urls
from trackly.pages.visits import MEMBER, OWNER, VIEWER

Role = Membership.Role
RANK = {VIEWER: 0, MEMBER: 1, OWNER: 2}
PAGES: list[URLPattern] = [page for part in urls.urlpatterns for page in part.url_patterns]
MOST_QUERIES = 20


def _list(account: Account) -> Any:
    return factories.SendingListFactory(account=account, provider_account=_credentials(account))


def _credentials(account: Account) -> Any:
    return factories.ProviderAccountFactory(account=account, settings={"signing_key": "k" * 24})


def _connection(account: Account) -> Any:
    return factories.NetworkConnectionFactory(account=account)


def _offer(account: Account) -> Any:
    return factories.OfferFactory(account=account, connection=_connection(account))


def _link(account: Account) -> Any:
    return factories.LinkFactory(account=account, offer=_offer(account), destination="")


def _message(account: Account) -> Any:
    sending_list = _list(account)
    # A test: it has the page of every message, and one of its own.
    return factories.MessageFactory(
        account=account, sending_list=sending_list, provider_account=sending_list.provider_account, is_test=True
    )


def _conversion(account: Account) -> str:
    row = factories.ConversionFactory(account=account, connection=_connection(account))
    return f"{row.request_uid}-{row.item}"


# Parameter of an address -> what names a row of this account in it.
OF_A_ROW: dict[str, Callable[[Account], Any]] = {
    "list_id": lambda account: _list(account).pk,
    "credentials_id": lambda account: _credentials(account).pk,
    "message": lambda account: _message(account).public_id,
    "contact_id": lambda account: factories.ContactFactory(account=account).pk,
    "code": lambda account: _link(account).code,
    "click": lambda account: factories.ClickFactory(account=account, link=_link(account)).click_id,
    "conversion": _conversion,
    "offer_id": lambda account: _offer(account).pk,
    "connection_id": lambda account: _connection(account).pk,
    "uid": lambda account: factories.InboundRequestFactory(account=account, state="failed").uid,
    "key_id": lambda account: factories.ApiKeyFactory(account=account).pk,
    "invitation_id": lambda account: factories.InvitationFactory(account=account).pk,
    "membership_id": lambda account: factories.MembershipFactory(account=account, role=Role.MEMBER).pk,
    "rate_id": lambda account: factories.ExchangeRateFactory(account=account).pk,
    "domain_id": lambda account: factories.LinkDomainFactory(account=account).pk,
}
# Parameters that name no row.
OTHERWISE: dict[str, str] = {"verb": "pause", "check": "clock"}


def named(page: URLPattern) -> list[str]:
    return list(page.pattern.converters)


def rows_of(page: URLPattern, account: Account) -> list[Any]:
    return [OF_A_ROW[name](account) if name in OF_A_ROW else OTHERWISE[name] for name in named(page)]


def address(page: URLPattern, account: Account, rows: list[Any]) -> str:
    return reverse(f"pages:{page.name}", args=[account.public_id, *rows])


every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
of_a_row = pytest.mark.parametrize(
    "page", [page for page in PAGES if set(named(page)) & OF_A_ROW.keys()], ids=lambda page: page.name
)
to_look_at = pytest.mark.parametrize(
    "page", [page for page in PAGES if "GET" in page.callback.methods], ids=lambda page: page.name
)
that_change = pytest.mark.parametrize(
    "page", [page for page in PAGES if page.callback.changes], ids=lambda page: page.name
)


def methods(page: URLPattern) -> Iterator[str]:
    return (name for name in page.callback.methods if name != "HEAD")


def everything() -> str:
    """A mark of all rows of ours; of whoever signs in, only the session may change."""
    ours = [
        model
        for model in apps.get_models()
        if model._meta.app_label in ("trackly", "sendinglists", "webhooks", "postbacks")
    ]
    tables = sorted({model._meta.db_table for model in ours})
    one = " UNION ALL ".join(
        f"SELECT md5(string_agg(r::text, ',' ORDER BY r::text)) AS mark FROM {table} r" for table in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT string_agg(coalesce(mark, '-'), ',') FROM ({one}) marks")
        return str(cursor.fetchone()[0])


@every_page
def test_every_page_is_guarded_and_has_a_name(page: URLPattern) -> None:
    assert page.name
    assert page.callback.sees in RANK


@every_page
def test_who_is_not_signed_in_sees_nothing(page: URLPattern, account: Account) -> None:
    url = address(page, account, rows_of(page, account))
    for method in methods(page):
        answer = Client().generic(method, url)
        assert answer.status_code == 302
        assert answer["Location"].startswith(reverse("account_login"))


@every_page
def test_who_belongs_to_another_account_gets_404(page: URLPattern, owner: Person, rival: Person) -> None:
    url = address(page, owner.account, rows_of(page, owner.account))
    before = everything()
    assert {rival.client.generic(method, url).status_code for method in methods(page)} == {404}
    assert everything() == before


@of_a_row
def test_a_row_of_another_account_is_404_even_in_the_own_one(page: URLPattern, owner: Person, other: Account) -> None:
    url = address(page, owner.account, rows_of(page, other))
    before = everything()
    assert {owner.client.generic(method, url).status_code for method in methods(page)} == {404}
    assert everything() == before


@that_change
@pytest.mark.parametrize("role", [VIEWER, MEMBER])
def test_who_may_not_change_changes_nothing(page: URLPattern, role: Role, person: Callable[..., Person]) -> None:
    if RANK[role] >= RANK[page.callback.changes]:
        pytest.skip("this role may")
    visitor = person(role)
    url = address(page, visitor.account, rows_of(page, visitor.account))
    before = everything()
    answer = visitor.client.post(url)
    assert answer.status_code == 403
    assert b"Nothing was changed" in answer.content
    assert everything() == before


@that_change
def test_nobody_changes_a_suspended_account(page: URLPattern, owner: Person) -> None:
    url = address(page, owner.account, rows_of(page, owner.account))
    Account.objects.filter(pk=owner.account.pk).update(status=Account.Status.SUSPENDED)
    before = everything()
    assert owner.client.post(url).status_code == 403
    assert everything() == before


@to_look_at
@pytest.mark.parametrize("role", [VIEWER, MEMBER, OWNER])
def test_who_may_look_sees_a_whole_page_within_twenty_queries(
    page: URLPattern, role: Role, person: Callable[..., Person], django_assert_max_num_queries: Any
) -> None:
    visitor = person(role)
    url = address(page, visitor.account, rows_of(page, visitor.account))
    with django_assert_max_num_queries(MOST_QUERIES):
        answer = visitor.client.get(url)
    if RANK[role] < RANK[page.callback.sees]:
        assert answer.status_code == 403
        return
    assert answer.status_code in (200, 302)
    if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
        html = b"".join(answer).decode() if answer.streaming else answer.content.decode()
        check_markup(html)


def check_markup(html: str) -> None:
    if "<html" in html:
        assert html.count("<h1") == 1
        assert re.search(r"<title>\s*\S", html)
    assert not re.search(r"<[^>]*\sstyle=", html), "an inline style, which the policy forbids"
    assert not re.search(r"<[^>]*\son[a-z]+=", html), "an inline handler"
    scripts = re.findall(r"<script\b([^>]*)>", html)
    assert all("src=" in script or 'type="application/json"' in script for script in scripts), "an inline script"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if set(named(page)) & OF_A_ROW.keys() and "GET" in page.callback.methods],
    ids=lambda page: page.name,
)
def test_an_id_nobody_has_is_404(page: URLPattern, owner: Person) -> None:
    nobody = {"uid": "0198c7de-5a3c-7b1e-9f00-3c5d0a6b7c8d", "conversion": "0198c7de-5a3c-7b1e-9f00-3c5d0a6b7c8d-0"}
    rows = [
        nobody.get(name, OTHERWISE.get(name, 987_654_321 if name.endswith("_id") else "nobody1"))
        for name in named(page)
    ]
    assert owner.client.get(address(page, owner.account, rows)).status_code == 404
