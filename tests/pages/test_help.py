"""Help is read from the code, troubleshooting really looks, and the search finds what is this account's alone."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from postbacks import networks
from tests import factories
from tests.pages.conftest import Person
from trackly.models import Account
from trackly.pages.calling_out import may_call
from trackly.pages.help.checks import CHECKS
from trackly.retries import INBOUND
from trackly.showing import lasting
from webhooks import providers


def words(answer: Any) -> str:
    return answer.content.decode()


def test_every_provider_and_network_stands_there_with_its_settings(owner: Person, settings: Any) -> None:
    settings.SANDBOX_ENABLED = True
    text = words(owner.get("help"))
    for adapter in (*providers.all_providers().values(), *networks.all_networks().values()):
        assert adapter.name in text
        assert adapter.docs in text
    for network in networks.all_networks().values():
        assert network.template.replace("&", "&amp;") in text


def test_the_sandbox_is_not_told_of_where_it_is_off(owner: Person, settings: Any) -> None:
    settings.SANDBOX_ENABLED = False
    assert "Sandbox" not in words(owner.get("help"))


def test_the_retry_schedule_is_the_one_that_is_used(owner: Person) -> None:
    text = words(owner.get("help"))
    assert ", ".join(["at once", *(f"after {lasting(wait)}" for wait in INBOUND)]) in text


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_answers_for_an_account_without_anything(owner: Person, check: str) -> None:
    answer = owner.get("troubleshoot_one", check)
    assert answer.status_code == 200
    assert CHECKS[check].title in words(answer)


def test_an_unknown_check_is_404(owner: Person) -> None:
    assert owner.get("troubleshoot_one", "nothing").status_code == 404


def test_running_asks_for_each_answer_by_itself(owner: Person) -> None:
    text = words(owner.get("troubleshoot", run="1"))
    assert text.count('hx-trigger="load"') == len(CHECKS)


def test_without_scripts_all_answers_stand_on_one_page(owner: Person) -> None:
    assert words(owner.get("troubleshoot", run="all")).count('class="tk-check"') == len(CHECKS)


def test_while_another_check_runs_only_what_calls_nobody_is_answered(owner: Person) -> None:
    slow = [check for check in CHECKS.values() if check.is_slow]
    with may_call(owner.account):
        assert "Another check is running" in words(owner.get("troubleshoot_one", slow[0].key))
        assert "Another check is running" not in words(owner.get("troubleshoot_one", "clock"))
        assert words(owner.get("troubleshoot", run="all")).count("Another check is running") == len(slow)
    assert "Another check is running" not in words(owner.get("troubleshoot", run="all"))


def test_a_viewer_runs_nothing(viewer: Person) -> None:
    assert "tk-check" not in words(viewer.get("troubleshoot", run="all"))
    assert viewer.get("troubleshoot_one", "clock").status_code == 403


def test_refused_callbacks_of_this_account_alone_are_told(owner: Person, account: Account, other: Account) -> None:
    for of, n in ((account, 3), (other, 99)):
        party = factories.ProviderAccountFactory(account=of)
        hour = timezone.now().replace(minute=0, second=0, microsecond=0)
        factories.RequestTotalFactory(
            source="webhook", slug="sandbox", party_id=party.pk, standing="bad_signature", n=n, hour=hour
        )
    text = words(owner.get("troubleshoot_one", "refused"))
    assert "3 callbacks" in text
    assert "99" not in text


def test_macros_that_were_not_replaced_are_told_with_the_fix(owner: Person, account: Account) -> None:
    connection = factories.NetworkConnectionFactory(account=account)
    factories.ConversionFactory(account=account, connection=connection, verdict="literal_macro")
    text = words(owner.get("troubleshoot_one", "postbacks"))
    assert "1 postback of the newest 500 were not usable as they came: macro not replaced" in text
    assert "did not replace a macro" in text


def test_an_offer_without_a_network_is_told(owner: Person, account: Account) -> None:
    factories.OfferFactory(account=account, connection=None, name="Loose")
    assert "belongs to no network" in words(owner.get("troubleshoot_one", "tracking"))


def test_the_worst_stands_first(owner: Person, account: Account) -> None:
    fine = factories.ProviderAccountFactory(account=account, name="Fine", checked_at=timezone.now())
    factories.ProviderAccountFactory(account=account, name="Broken", check_cause="The key is wrong.")
    assert fine.pk
    text = words(owner.get("troubleshoot_one", "credentials"))
    assert text.index("Broken") < text.index("Fine")


@pytest.fixture
def held(account: Account) -> dict[str, Any]:
    message = factories.MessageFactory(account=account, to="+14155550101", provider_message_id="vendor-1")
    link = factories.LinkFactory(account=account, offer=None, destination="https://example.com/")
    click = factories.ClickFactory(account=account, link=link)
    sale = factories.ConversionFactory(account=account, transaction_id="T-4711")
    contact = factories.ContactFactory(account=account, phone="+14155550101")
    return {"message": message, "link": link, "click": click, "sale": sale, "contact": contact}


def test_each_id_leads_to_its_page(owner: Person, held: dict[str, Any]) -> None:
    sale = held["sale"]
    for pasted, page in (
        (held["message"].public_id, owner.url("message", held["message"].public_id)),
        ("vendor-1", owner.url("message", held["message"].public_id)),
        (held["click"].click_id, owner.url("click", held["click"].click_id)),
        ("T-4711", owner.url("conversion", f"{sale.request_uid}-0")),
        (str(sale.request_uid), owner.url("conversion", f"{sale.request_uid}-0")),
        (f"https://go.example.com/c/{held['link'].code}", owner.url("link", held["link"].code)),
        ("+1 (415) 555-0101", owner.url("contact", held["contact"].pk)),
    ):
        answer = owner.get("find", q=pasted)
        assert answer.status_code == 302, pasted
        assert answer["Location"] == page


def test_another_account_finds_nothing(rival: Person, held: dict[str, Any]) -> None:
    for pasted in (held["message"].public_id, "vendor-1", "T-4711", "+14155550101", held["link"].code):
        assert "Nothing of this account" in words(rival.get("find", q=pasted))


def test_a_viewer_does_not_find_a_number(viewer: Person, held: dict[str, Any]) -> None:
    assert "viewers do not search for phones" in words(viewer.get("find", q="+14155550101"))


def test_several_are_listed(owner: Person, account: Account) -> None:
    for _ in range(2):
        factories.ConversionFactory(
            account=account, transaction_id="T-1", received_at=timezone.now() - timedelta(days=1)
        )
    assert words(owner.get("find", q="T-1")).count("Conversion ") == 2


@pytest.mark.parametrize("pasted", ["", " ", "\x00", "x" * 9_000, "'; DROP TABLE", "%00%ff"])
def test_nonsense_is_answered_in_words(owner: Person, pasted: str) -> None:
    assert owner.get("find", q=pasted).status_code == 200
