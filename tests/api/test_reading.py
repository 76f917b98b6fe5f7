"""What an account's own systems read: lists, messages with their timeline, links, conversions, contacts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from sendinglists.models import Link, SendingList
from tests import factories
from tests.api.conftest import Caller
from trackly.signing import new_uid

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 15, 14, 30, tzinfo=UTC)


def test_a_list_has_the_products_shape(us: Caller, our_list: SendingList) -> None:
    factories.SubscriptionFactory.create_batch(2, sending_list=our_list)
    factories.SubscriptionFactory(sending_list=our_list, state="opted_out")
    shown = {
        "id": our_list.id, "phone_number": "+18005550142", "brand_name": "Acme", "list_name": "Promo",
        "list_type": "sandbox", "status": "active", "contact_count": 2,
        "created_at": our_list.created_at.isoformat().replace("+00:00", "Z"),
    }  # fmt: skip
    assert us.get("lists") == (200, {"data": [shown], "next_cursor": None})
    assert us.get(f"lists/{our_list.id}") == (200, shown)
    assert us.get(f"lists/{our_list.id}/") == (200, shown)


def test_deleted_lists_are_shown_only_when_asked_for(us: Caller, our_list: SendingList) -> None:
    SendingList.objects.update(status="deleted")
    assert us.get("lists")[1]["data"] == []
    assert us.get("lists?status=active")[1]["data"] == []
    assert [row["status"] for row in us.get("lists?status=deleted")[1]["data"]] == ["deleted"]


def test_a_message_is_told_with_its_timeline_and_links(us: Caller, our_list: SendingList) -> None:
    message = factories.MessageFactory(
        sending_list=our_list, to="+14155550101", status="failed", status_detail="REJECTED", reason="spam",
        error_code="30007", error_text="Filtered", cost=Decimal("0.0075"), cost_currency="USD", segments=2, created_at=AT,
    )  # fmt: skip
    for minutes, status, origin in ((2, "failed", "callback"), (1, "sent", "answer"), (3, "failed", "asked")):
        factories.DeliveryEventFactory(
            message=message, status=status, origin=origin, vendor_status=status.upper(), at=AT + timedelta(minutes=minutes),
            received_at=AT + timedelta(minutes=minutes, seconds=1), error_code="30007" if status == "failed" else "",
            error_text="Filtered" if status == "failed" else "",
        )  # fmt: skip
    link = Link.objects.create(account=us.account, message=message, destination="https://shop.example.com/")
    status, said = us.get(f"messages/{message.public_id}")
    assert status == 200
    assert {name: said[name] for name in ("status", "status_detail", "reason", "error_code", "error", "cost", "segments")} == {
        "status": "failed", "status_detail": "REJECTED", "reason": "spam", "error_code": "30007", "error": "Filtered",
        "cost": "0.0075", "segments": 2,
    }  # fmt: skip
    assert [(entry["status"], entry["origin"]) for entry in said["timeline"]] == [
        ("sent", "Answer to our send"), ("failed", "Callback of the provider"), ("failed", "Asked of the provider"),
    ]  # fmt: skip
    assert said["timeline"][1] == {
        "at": "2026-03-15T14:32:00Z", "received_at": "2026-03-15T14:32:01Z", "status": "failed", "provider_status": "FAILED",
        "provider_code": None, "reason": None, "error_code": "30007", "error": "Filtered",
        "origin": "Callback of the provider",
    }  # fmt: skip
    assert [entry["short_url"] for entry in said["links"]] == [f"https://hooks.example.com/c/{link.code}"]
    assert said["links"][0]["message_id"] == message.public_id


def test_no_sequential_id_of_a_message_is_shown_anywhere(us: Caller, our_list: SendingList) -> None:
    message = factories.MessageFactory(sending_list=our_list)
    for path in ("messages", f"messages/{message.public_id}"):
        text = us.ask("GET", path).content.decode()
        assert '"id"' not in text
        assert message.reference not in text


def test_messages_are_filtered(us: Caller, our_list: SendingList) -> None:
    other = factories.SendingListFactory(provider_account__account=us.account)
    one = factories.MessageFactory(
        sending_list=our_list, campaign="a", status="delivered", to="+14155550101", created_at=AT
    )
    two = factories.MessageFactory(
        sending_list=other, campaign="b", status="failed", to="+14155550102", created_at=AT + timedelta(hours=1)
    )
    for query, found in {
        f"list_id={our_list.id}": [one], f"list_id={other.id}": [two], "status=delivered": [one], "campaign=b": [two],
        "to=%2B14155550101": [one], "to=+1-415-555-0102": [two], "since=2026-03-15T15:00:00Z": [two],
        "until=2026-03-15T15:00:00Z": [one], "until=2026-03-15T14:30:00Z": [], "status=delivered&campaign=b": [],
    }.items():  # fmt: skip
        assert [row["message_id"] for row in us.get(f"messages?{query}")[1]["data"]] == [
            row.public_id for row in found
        ], query


def test_a_link_leads_to_an_address_or_an_offer(us: Caller) -> None:
    status, said = us.post("links", {"url": "https://shop.example.com/?a=1", "campaign": "summer"})
    row = Link.objects.get()
    assert status == 201
    assert (said["success"], said["code"], said["short_url"]) == (
        True,
        row.code,
        f"https://hooks.example.com/c/{row.code}",
    )
    assert (said["destination"], said["campaign"], len(row.code)) == ("https://shop.example.com/?a=1", "summer", 7)
    offer = factories.OfferFactory(connection__account=us.account)
    status, said = us.post("links", {"offer_id": offer.id, "expires_at": "2100-01-01T00:00:00+02:00"})
    assert (status, said["destination"], said["offer_id"]) == (201, offer.destination, offer.id)
    assert said["expires_at"] == "2099-12-31T22:00:00Z"
    del said["success"]
    assert us.get(f"links/{said['code']}") == (200, said)
    assert us.get("links")[1]["data"][0] == said


@pytest.mark.parametrize(("body", "code"), [
    ({}, "missing_url_or_offer"), ({"url": "https://a.example.com", "offer_id": 1}, "missing_url_or_offer"),
    ({"url": "ftp://a.example.com"}, "invalid_url"), ({"url": "javascript:alert(1)"}, "invalid_url"),
    ({"url": "https://a.example.com/?click_id=mine"}, "invalid_url"), ({"url": "https://{click_id}.example.com"}, "invalid_url"),
    ({"url": "https://a.example.com/ b"}, "invalid_url"), ({"url": "https://[::"}, "invalid_url"), ({"url": 5}, "invalid_url"),
    ({"url": "https://a.example.com/" + "x" * 3_000}, "invalid_url"),
    ({"url": "https://a.example.com/", "expires_at": "2001-01-01T00:00:00Z"}, "invalid_expires_at"),
    ({"url": "https://a.example.com/", "expires_at": 5}, "invalid_expires_at"),
    ({"url": "https://a.example.com/", "expires_at": "0001-01-01T00:00:00+14:00"}, "invalid_expires_at"),
])  # fmt: skip
def test_a_link_that_can_lead_nowhere_is_refused(us: Caller, body: dict[str, object], code: str) -> None:
    status, said = us.post("links", body)
    assert (status, said["code"]) == (400, code)
    assert Link.objects.count() == 0


def test_another_accounts_offer_and_an_archived_one_are_not_there(us: Caller, them: Caller) -> None:
    theirs = factories.OfferFactory(connection__account=them.account)
    archived = factories.OfferFactory(connection__account=us.account, status="archived")
    for offer in (theirs, archived):
        assert us.post("links", {"offer_id": offer.id})[0] == 404


def test_links_are_filtered_and_tests_left_out(us: Caller, our_list: SendingList) -> None:
    message = factories.MessageFactory(sending_list=our_list)
    own = {"account": us.account, "destination": "https://a.example.com/"}
    one = Link.objects.create(**own, campaign="a")
    two = Link.objects.create(**own, message=message)
    three = Link.objects.create(**own, is_test=True)
    for query, found in {
        "": [two, one], "?campaign=a": [one], f"?message={message.public_id}": [two], "?include_tests=true": [three, two, one],
    }.items():  # fmt: skip
        assert [row["code"] for row in us.get(f"links{query}")[1]["data"]] == [row.code for row in found], query


def test_conversions_are_shown_with_their_verdict_and_filtered(us: Caller, our_list: SendingList) -> None:
    message = factories.MessageFactory(sending_list=our_list, campaign="summer")
    offer = factories.OfferFactory(connection__account=us.account)
    counted = factories.ConversionFactory(
        account=us.account, message=message, offer=offer, connection=offer.connection, sending_list=our_list, key=b"k",
        verdict="recorded", kind="conversion", payout=Decimal("24.99"), currency="USD", is_verified=True,
        transaction_id="T1", received_at=AT,
    )  # fmt: skip
    doubled = factories.ConversionFactory(account=us.account, verdict="literal_macro", status="pending")
    factories.ConversionFactory(account=us.account, verdict="test", is_test=True)
    ids = [str(doubled.request_uid), str(counted.request_uid)]
    status, said = us.get("conversions")
    assert (status, [row["id"] for row in said["data"]]) == (200, ids)
    shown = said["data"][1]
    assert {name: shown[name] for name in ("payout", "currency", "counts", "verified", "message_id", "campaign", "list_id")} == {
        "payout": "24.99", "currency": "USD", "counts": True, "verified": True, "message_id": message.public_id,
        "campaign": "summer", "list_id": our_list.id,
    }  # fmt: skip
    assert said["data"][0]["explanation"].startswith("The network did not replace a macro")
    assert us.get(f"conversions/{counted.request_uid}") == (200, shown)
    for query in (
        f"connection={offer.connection_id}", f"offer={offer.id}", f"list={our_list.id}", "status=approved", "verified=true",
        f"message={message.public_id}", "until=2026-03-16T00:00:00Z", "counts=true",
    ):  # fmt: skip
        assert [row["id"] for row in us.get(f"conversions?{query}")[1]["data"]] == ids[1:], query
    assert [row["id"] for row in us.get("conversions?verified=false")[1]["data"]] == ids[:1]
    assert [row["id"] for row in us.get("conversions?counts=false")[1]["data"]] == ids[:1]
    assert len(us.get("conversions?include_tests=true")[1]["data"]) == 3


def test_two_conversions_of_one_request_are_told_apart(us: Caller) -> None:
    uid = new_uid(1_790_000_000_000)
    for item in (0, 1):
        factories.ConversionFactory(account=us.account, request_uid=uid, item=item, transaction_id=f"T{item}")
    assert us.get(f"conversions/{uid}")[1]["transaction_id"] == "T0"
    status, said = us.get(f"conversions/{uid}-1")
    assert (status, said["transaction_id"], said["id"]) == (200, "T1", f"{uid}-1")


def test_a_contact_shows_where_it_may_be_written_to(us: Caller, our_list: SendingList) -> None:
    contact = factories.ContactFactory(account=us.account, phone="+14155550101")
    factories.SubscriptionFactory(contact=contact, sending_list=our_list, state="opted_out", decided_at=AT)
    factories.SuppressionFactory(account=us.account, phone="+14155550101", decided_at=AT, cause="asked by mail")
    factories.SuppressionFactory(account=us.account, phone="+14155550101", brand="Old", is_active=False)
    shown = {
        "phone_number": "+14155550101",
        "lists": [
            {
                "list_id": our_list.id, "list_number": our_list.number, "list_name": "Promo", "state": "opted_out",
                "since": "2026-03-15T14:30:00Z",
            }
        ],
        "suppressions": [{"brand": "", "since": "2026-03-15T14:30:00Z", "cause": "asked by mail"}],
    }  # fmt: skip
    for spelling in ("%2B14155550101", "+14155550101", "00%201-415-555-0101", "%2B1%20415%20555%200101"):
        assert us.get(f"contacts/{spelling}") == (200, shown), spelling


def test_a_number_that_is_only_suppressed_is_known(us: Caller) -> None:
    factories.SuppressionFactory(account=us.account, phone="+14155550101")
    status, said = us.get("contacts/%2B14155550101")
    assert (status, said["lists"], len(said["suppressions"])) == (200, [], 1)
