"""The pages of messages, delivery events and replies."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sendinglists.models import Message, SendingList, Subscription
from tests import factories
from tests.pages.conftest import Person
from trackly.models import AuditEntry
from webhooks.statuses import Status

NOW = datetime.now(UTC)


@pytest.fixture
def party(owner: Person) -> Any:
    return factories.ProviderAccountFactory(account=owner.account)


@pytest.fixture
def sending_list(party: Any) -> SendingList:
    return factories.SendingListFactory(provider_account=party, account=party.account, name="Promo")


def message(sending_list: SendingList, **fields: Any) -> Message:
    return factories.MessageFactory(sending_list=sending_list, account=sending_list.account, **fields)


def ids(answer: Any) -> set[str]:
    """Which messages a list shows."""
    every = Message.objects.values_list("public_id", flat=True)
    return {key for key in every if f"/messages/{key}/" in answer.content.decode()}


# --- the list


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("due", {"waiting"}),
        ("open", {"waiting", "sent"}),
        ("lost", {"failed", "expired", "dropped"}),
        ("delivered", {"delivered"}),
    ],
)
def test_messages_are_filtered_by_where_they_stand(
    owner: Person, sending_list: SendingList, asked: str, found: set[str]
) -> None:
    rows = {
        "waiting": message(sending_list, due_at=NOW),
        **{word: message(sending_list, status=word) for word in ("sent", "failed", "expired", "dropped", "delivered")},
    }
    assert ids(owner.get("messages", status=asked)) == {rows[name].public_id for name in found}


@pytest.mark.parametrize("spelling", ["+14155550173", "0014155550173", "1 (415) 555-0173"])
def test_a_phone_is_found_in_any_spelling(owner: Person, sending_list: SendingList, spelling: str) -> None:
    row = message(sending_list, to="+14155550173")
    message(sending_list, to="+14155550174")
    assert ids(owner.get("messages", phone=spelling)) == {row.public_id}


def test_tests_stand_apart(owner: Person, sending_list: SendingList) -> None:
    real, test = message(sending_list), message(sending_list, is_test=True)
    assert ids(owner.get("messages")) == {real.public_id}
    assert ids(owner.get("messages", tests="only")) == {test.public_id}
    assert ids(owner.get("messages", tests="with")) == {real.public_id, test.public_id}


def test_times_are_read_in_the_zone_of_the_account(owner: Person, sending_list: SendingList) -> None:
    owner.account.time_zone = "America/New_York"
    owner.account.save()
    early = message(sending_list, created_at=datetime(2026, 3, 2, 14, 59, tzinfo=UTC))
    late = message(sending_list, created_at=datetime(2026, 3, 2, 15, 0, 30, tzinfo=UTC))
    assert ids(owner.get("messages", since="2026-03-02T10:00")) == {late.public_id}
    assert ids(owner.get("messages", until="2026-03-02T09:59")) == {early.public_id}
    assert ids(owner.get("messages", until="2026-03-02T10:00")) == {early.public_id, late.public_id}


@pytest.mark.parametrize("name", ["public_id", "provider_message_id", "external_id"])
def test_an_id_leads_straight_to_its_message(owner: Person, sending_list: SendingList, name: str) -> None:
    row = message(sending_list, provider_message_id="SM1", external_id="order-7", is_test=True)
    answer = owner.get("messages", message=f" {getattr(row, name)} ")
    assert answer["Location"] == owner.url("message", row.public_id)


def test_an_id_of_another_account_leads_nowhere(owner: Person, rival: Person, sending_list: SendingList) -> None:
    row = message(sending_list)
    answer = rival.get("messages", message=row.public_id)
    assert answer.status_code == 200
    assert b"No message fits this filter" in answer.content


def test_messages_are_filtered_by_their_list_and_campaign(owner: Person, sending_list: SendingList) -> None:
    elsewhere = factories.SendingListFactory(account=owner.account, provider_account__account=owner.account)
    here, there = message(sending_list, campaign="spring"), message(elsewhere, campaign="autumn")
    assert ids(owner.get("messages", list=str(sending_list.pk))) == {here.public_id}
    assert ids(owner.get("messages", campaign="autumn")) == {there.public_id}


def test_only_lists_of_the_account_are_offered(owner: Person, sending_list: SendingList) -> None:
    theirs = factories.SendingListFactory(name="Of somebody else")
    answer = owner.get("messages", list=str(theirs.pk))
    assert b"Of somebody else" not in answer.content
    assert b"tk-error" in answer.content
    assert b"Promo" in answer.content


def test_a_viewer_sees_no_number_in_full_and_a_member_does(
    viewer: Person, member: Person, owner: Person, sending_list: SendingList
) -> None:
    row = message(sending_list, to="+14155550173", body="call +14155550173")
    factories.ReplyFactory(
        account=owner.account, provider_account=row.provider_account, sender=row.to, text="I am +14155550173"
    )
    factories.DeliveryEventFactory(message=row)
    contact = factories.ContactFactory(account=owner.account, phone=row.to)
    for name, args in (("messages", ()), ("message", (row.public_id,)), ("events", ()), ("replies", ()),
                       ("contacts", ()), ("contact", (contact.pk,))):  # fmt: skip
        assert b"4155550173" not in viewer.get(name, *args).content, name
        assert b"+14155550173" in member.get(name, *args).content, name


def test_a_viewer_does_not_see_the_secret_reference_of_a_message(
    viewer: Person, member: Person, sending_list: SendingList
) -> None:
    row = message(sending_list)
    assert row.reference.encode() not in viewer.get("message", row.public_id).content
    assert row.reference.encode() in member.get("message", row.public_id).content


def test_the_lists_ask_as_often_for_many_rows_as_for_few(
    owner: Person, sending_list: SendingList, django_assert_max_num_queries: Any
) -> None:
    for _n in range(40):
        row = message(sending_list)
        factories.DeliveryEventFactory(message=row)
        contact = factories.ContactFactory(account=owner.account, phone=row.to)
        factories.SubscriptionFactory(sending_list=sending_list, contact=contact)
        factories.SuppressionFactory(account=owner.account, phone=row.to)
        factories.ReplyFactory(
            account=owner.account, provider_account=row.provider_account, sender=row.to, sending_list=sending_list
        )
        factories.InboundRequestFactory(
            account=owner.account, party_id=row.provider_account_id, state="refused", refusal="bad_signature"
        )
    for name in ("messages", "events", "replies", "contacts", "requests"):
        with django_assert_max_num_queries(12):
            owner.get(name)


# --- one message


def test_a_message_on_its_way_is_watched_and_one_that_ended_is_not(owner: Person, sending_list: SendingList) -> None:
    row = message(sending_list, status=Status.SENT)
    answer = owner.get("message", row.public_id)
    assert b'hx-trigger="every 1s"' in answer.content
    Message.objects.filter(pk=row.pk).update(status=Status.DELIVERED)
    part = owner.client.get(owner.url("message", row.public_id), headers={"HX-Request": "true"})
    assert b"hx-trigger" not in part.content
    assert b"<html" not in part.content
    assert b"Delivered" in part.content


def test_an_old_message_without_an_end_is_not_asked_for_for_ever(owner: Person, sending_list: SendingList) -> None:
    row = message(sending_list, status=Status.SENT, created_at=NOW - timedelta(days=2))
    assert b"hx-trigger" not in owner.get("message", row.public_id).content


def test_a_message_shows_its_links_with_their_clicks_and_its_conversions(
    owner: Person, sending_list: SendingList
) -> None:
    row = message(sending_list)
    offer = factories.OfferFactory(account=owner.account, connection__account=owner.account, name="Shoes")
    link = factories.LinkFactory(offer=offer, account=owner.account, message=row, code="abc1234")
    for bot in ("", "", "preview"):
        factories.ClickFactory(link=link, account=owner.account, message=row, bot=bot)
    factories.ConversionFactory(account=owner.account, message=row, offer=offer, verdict="recorded", payout="12.50",
                                currency="USD")  # fmt: skip
    words = " ".join(owner.get("message", row.public_id).content.decode().split())
    assert "abc1234" in words
    assert "<td><bdi>2</bdi></td><td><bdi>1</bdi></td>" in words
    assert "12.50 USD" in words


def test_a_member_opts_the_number_of_a_message_out_of_its_list_alone(
    member: Person, owner: Person, sending_list: SendingList
) -> None:
    other_list = factories.SendingListFactory(
        provider_account=sending_list.provider_account, account=owner.account, number="+18005550999"
    )
    row = message(sending_list, to="+14155550173")
    answer = member.client.post(member.url("message_opt_out", row.public_id), {"where": "list"}, follow=True)
    assert b"Nothing is sent to this number any more" in answer.content
    held = Subscription.objects.get(contact__phone="+14155550173", sending_list=sending_list)
    assert held.state == Subscription.State.OPTED_OUT
    assert not Subscription.objects.filter(sending_list=other_list).exists()
    entry = AuditEntry.objects.get(account=owner.account, verb="opted out")
    assert entry.user == member.user
    assert row.public_id in entry.detail


def test_a_viewer_opts_nobody_out(viewer: Person, sending_list: SendingList) -> None:
    row = message(sending_list)
    assert b"Opt this number out" not in viewer.get("message", row.public_id).content
    assert viewer.post("message_opt_out", row.public_id, where="account").status_code == 403
    assert not Subscription.objects.exists()


# --- events and replies


def test_an_event_leads_to_its_message_and_is_found_by_what_it_says(owner: Person, sending_list: SendingList) -> None:
    good, bad = message(sending_list), message(sending_list)
    factories.DeliveryEventFactory(message=good, status=Status.DELIVERED)
    factories.DeliveryEventFactory(message=bad, status=Status.FAILED, reason="spam")
    assert ids(owner.get("events")) == {good.public_id, bad.public_id}
    assert ids(owner.get("events", reason="spam")) == {bad.public_id}
    assert ids(owner.get("events", status="delivered")) == {good.public_id}
    elsewhere = factories.SendingListFactory(account=owner.account, provider_account__account=owner.account)
    assert ids(owner.get("events", list=str(sending_list.pk))) == {good.public_id, bad.public_id}
    assert ids(owner.get("events", list=str(elsewhere.pk))) == set()
    assert ids(owner.get("events", since=f"{NOW + timedelta(days=1):%Y-%m-%dT%H:%M}")) == set()


def test_a_reply_is_shown_as_it_was_written_and_acts_on_nothing(owner: Person, party: Any) -> None:
    factories.ContactFactory(account=owner.account, phone="+14155550101")
    factories.ReplyFactory(
        account=owner.account, provider_account=party, text="<script>alert(1)</script>\u202eSTOP", decision="opt_out"
    )
    words = owner.get("replies", decision="opt_out").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;‹U+202E›STOP" in words
    assert "Opted out" in words
    assert "/contacts/" in words
    assert "STOP" not in owner.get("replies", decision="help").content.decode()


def test_replies_are_found_by_who_wrote_them(owner: Person, party: Any) -> None:
    factories.ReplyFactory(account=owner.account, provider_account=party, sender="+14155550101", text="it is me")
    factories.ReplyFactory(account=owner.account, provider_account=party, sender="+14155550102", text="and me")
    words = owner.get("replies", phone="001 415 555 0101").content.decode()
    assert "it is me" in words
    assert "and me" not in words
