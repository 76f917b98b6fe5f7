"""Another account's key reaches nothing of ours. The addresses come from the URL table: a new one cannot be forgotten."""

import ast
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern

from postbacks.models import Conversion
from sendinglists.models import Contact, Link, Message, SendingList, Subscription, SubscriptionChange, Suppression
from tests import factories
from tests.api.conftest import Caller, read
from trackly import api
from trackly.api.base import AccountView
from trackly.api.urls import urlpatterns

pytestmark = pytest.mark.django_db
PHONE = "+14155550101"
PUBLIC = {"api-schema", "api-docs"}


def routes(*methods: str) -> list[Any]:
    """The named addresses that take one of these methods, without the schema and its page."""
    own = [entry for entry in urlpatterns if entry.name and entry.name not in PUBLIC]
    return [
        pytest.param(entry, id=entry.name)
        for entry in own
        if any(hasattr(entry.callback.view_class, method) for method in methods)
    ]


@pytest.fixture
def ours(us: Caller, our_list: SendingList) -> dict[str, Any]:
    """A row of every noun, by the names the URLs have for them."""
    contact = factories.ContactFactory(account=us.account, phone=PHONE)
    factories.SubscriptionFactory(contact=contact, sending_list=our_list)
    factories.SuppressionFactory(account=us.account, phone=PHONE)
    message = factories.MessageFactory(sending_list=our_list, to=PHONE)
    factories.DeliveryEventFactory(message=message)
    offer = factories.OfferFactory(connection__account=us.account)
    link = factories.LinkFactory(offer=offer, message=message)
    conversion = factories.ConversionFactory(
        account=us.account, message=message, offer=offer, connection=offer.connection
    )
    return {
        "message_id": message.public_id,
        "list_id": our_list.id,
        "code": link.code,
        "conversion_id": str(conversion.request_uid),
        "phone": PHONE,
        "offer_id": offer.id,
        "list_number": our_list.number,
    }


def address(entry: URLPattern, ours: dict[str, Any]) -> str:
    """A URL of this pattern that names rows of ours; a part nobody gave a row for fails here."""
    text = str(entry.pattern)
    for name, converter in entry.pattern.converters.items():
        kind = next(kind for kind in ("slug", "int", "str") if f"<{kind}:{name}>" in text)
        text = text.replace(f"<{kind}:{name}>", str(ours[name]).replace("+", "%2B"))
        assert converter
    return text


def everything_of(us: Caller) -> list[Any]:
    tables = (Message, SendingList, Link, Conversion, Contact, Subscription, SubscriptionChange, Suppression)
    return [list(table._default_manager.filter(account=us.account).order_by("id").values()) for table in tables]


@pytest.mark.parametrize("entry", routes("get"))
def test_what_one_account_reads_the_other_does_not(
    us: Caller, them: Caller, ours: dict[str, Any], entry: URLPattern
) -> None:
    path = address(entry, ours)
    status, said = us.get(path)
    assert status == 200
    assert said.get("data") != []
    if "data" in said:
        assert them.get(path) == (200, {"data": [], "next_cursor": None})
    else:
        status, said = them.get(path)
        assert (status, set(said)) == (404, {"error", "code"})


# What the other account sends there: everything in it is ours. A new view needs a line.
BODIES: dict[str, list[dict[str, Any]]] = {
    "api-send": [
        {"to": PHONE, "body": "x", "list_id": "list_id"},
        {"to": PHONE, "body": "x", "list_number": "list_number"},
    ],
    "api-links": [{"offer_id": "offer_id"}],
    "api-opt-out": [{"phone": PHONE, "list_id": "list_id"}, {"phone": PHONE}],
    "api-opt-in": [{"phone": PHONE, "list_id": "list_id"}],
    "api-suppressions": [{"phone": PHONE}],
    "api-import": [{"messages": [{"list_id": "list_id", "to": PHONE, "external_id": "1", "sent_at": "2026-01-01"}]}],
}


@pytest.mark.parametrize("entry", routes("post"))
def test_what_one_account_writes_is_not_in_the_other(
    us: Caller, them: Caller, ours: dict[str, Any], entry: URLPattern
) -> None:
    before = everything_of(us)
    for body in BODIES[str(entry.name)]:
        filled = _fill(body, ours)
        status, said = them.post(address(entry, ours), filled)
        assert status == 404 or entry.name in ("api-suppressions", "api-opt-out", "api-import"), said
        if entry.name == "api-import":
            assert (said["success_count"], said["errors"][0]["code"]) == (0, "list_not_found")
    assert everything_of(us) == before


def _fill(value: Any, ours: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: ours[inner] if key == inner else _fill(inner, ours) for key, inner in value.items()}
    return [_fill(inner, ours) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("entry", routes("delete"))
def test_what_one_account_deletes_stays_in_the_other(
    us: Caller, them: Caller, ours: dict[str, Any], entry: URLPattern
) -> None:
    before = everything_of(us)
    assert them.delete(address(entry, ours))[0] == 404
    assert everything_of(us) == before


@pytest.mark.parametrize("query", ["list_id", "to", "message"])
def test_a_filter_by_anothers_row_shows_nothing(us: Caller, them: Caller, ours: dict[str, Any], query: str) -> None:
    path = {
        "list_id": f"messages?list_id={ours['list_id']}",
        "to": "messages?to=%2B14155550101",
        "message": f"links?message={ours['message_id']}",
    }[query]
    assert us.get(path)[1]["data"] != []
    assert them.get(path)[1]["data"] == []


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("entry", routes("get", "post", "delete"))
def test_every_address_asks_for_a_key(us: Caller, ours: dict[str, Any], entry: Any, slash: str) -> None:
    us.key = ""
    assert issubclass(entry.callback.view_class, AccountView)
    for method in ("GET", "POST", "DELETE"):
        response = us.ask(method, address(entry, ours) + slash, {} if method == "POST" else None)
        status, said = read(response)
        assert (status, said["code"]) == (401, "missing_api_key")


@pytest.mark.parametrize("path", sorted(Path(api.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_tables_are_reached_through_rows_alone(path: Path) -> None:
    """rows() bounds them to the account. The key's own table is asked before there is an account."""
    reached = {
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("objects", "_default_manager", "_base_manager")
    }
    allowed = {"base.py": {"model._default_manager"}, "keys.py": {"ApiKey.objects"}}
    assert reached <= allowed.get(path.name, set())
