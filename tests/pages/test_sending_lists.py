"""Sending lists as an account's people see, test, pause, edit and delete them."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sendinglists.models import Contact, Message, SendingList
from tests import factories
from tests.pages.conftest import Person
from trackly.models import Account, AuditEntry
from trackly.pages.sending.endings import ENDINGS
from webhooks.providers.sandbox import FATES, REFUSALS

pytestmark = pytest.mark.django_db
PHONE = "+14155550101"


@pytest.fixture
def make(account: Account) -> Callable[..., SendingList]:
    def run(**fields: Any) -> SendingList:
        party = fields.pop("party", None) or factories.ProviderAccountFactory(account=account, name="Line")
        row: SendingList = factories.SendingListFactory(provider_account=party, **fields)
        return row

    return run


def total(row: SendingList, kind: str, n: int, hours_ago: int = 0) -> None:
    hour = factories.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago)
    factories.HourlyTotalFactory(account=row.account, list_id=row.pk, kind=kind, n=n, hour=hour)


# --- all of them


def test_without_a_list_the_page_says_what_one_is_and_leads_to_the_first(owner: Person) -> None:
    text = owner.get("lists").text
    assert "What a sending list is" in text
    assert owner.url("list_new") in text
    assert "No credentials yet" in text


def test_each_list_stands_with_what_it_sent_within_a_day(owner: Person, make: Callable[..., SendingList]) -> None:
    row = make(name="Autumn", brand="Shop")
    # As the overview counts: what was handed over, whatever became of it; not what waits, nor what was never sent.
    total(row, "message", 99)
    total(row, "message_dropped", 8)
    total(row, "message_sent", 3)
    total(row, "message_delivered", 37)
    total(row, "message_read", 1, hours_ago=3)
    total(row, "message_delivered", 1000, hours_ago=25)
    factories.RequestTotalFactory(slug="sandbox", party_id=row.provider_account_id, last_at=factories.now())
    text = re.sub(r"\s+", " ", owner.get("lists").text)
    assert "Autumn" in text
    assert "<bdi>41</bdi>" in text
    assert "<bdi>38</bdi>" in text
    assert "<bdi>never</bdi>" not in text


def test_deleted_lists_are_hidden_unless_asked_for(owner: Person, make: Callable[..., SendingList]) -> None:
    make(name="Standing")
    make(name="Gone", status="deleted")
    assert "Gone" not in owner.get("lists").text
    assert "Gone" in owner.get("lists", state="deleted").text
    assert "Standing" in owner.get("lists", state="all").text


def test_a_viewer_sees_numbers_masked_and_no_button(viewer: Person, make: Callable[..., SendingList]) -> None:
    row = make(number="+18005550142")
    text = viewer.get("lists").text
    assert "+18005550142" not in text
    assert viewer.url("list_new") not in text
    SendingList.objects.update(name=row.number)
    page = viewer.get("list", row.pk).text
    assert "+18005550142" not in page
    assert "+18005550142" not in viewer.get("list_test", row.pk).text
    assert viewer.url("list_pause", row.pk) not in page
    assert "Send a test message" not in page


def test_many_lists_of_many_credentials_ask_few_questions(
    owner: Person, make: Callable[..., SendingList], django_assert_max_num_queries: Any
) -> None:
    for _ in range(60):
        make()
    with django_assert_max_num_queries(15):
        assert owner.get("lists").text.count("tk-row-link") == 110


def test_retired_credentials_are_hidden_unless_asked_for(owner: Person, account: Account) -> None:
    factories.ProviderAccountFactory(account=account, name="Old line", removed_at=factories.now())
    assert "Old line" not in owner.get("lists").text
    assert "Old line" in owner.get("lists", retired=1).text


# --- one


def test_a_list_tells_its_numbers_and_its_newest_messages_and_events(
    owner: Person, make: Callable[..., SendingList], django_assert_max_num_queries: Any
) -> None:
    row = make()
    total(row, "message_delivered", 3)
    total(row, "message_delivered", 70, hours_ago=50)
    total(row, "message_failed", 2)
    for _ in range(15):
        message = factories.MessageFactory(sending_list=row, to=PHONE)
        factories.DeliveryEventFactory(message=message, account=row.account, vendor_status="handset got it")
    other = make()
    hidden = factories.MessageFactory(sending_list=other)
    with django_assert_max_num_queries(19):
        text = re.sub(r"\s+", " ", owner.get("list", row.pk).text)
    assert '<th scope="row">Sent</th><td class="tk-number">5</td><td class="tk-number">75</td>' in text
    assert '<th scope="row">Failed</th><td class="tk-number">2</td>' in text
    assert "handset got it" in text
    assert message.public_id in text
    assert hidden.public_id not in text


def test_new_events_are_read_again_alone(owner: Person, make: Callable[..., SendingList]) -> None:
    row = make()
    [again] = re.findall(r'hx-get="([^"]*part=events[^"]*)"', owner.get("list", row.pk).text)
    message = factories.MessageFactory(sending_list=row)
    factories.DeliveryEventFactory(message=message, account=row.account, vendor_status="just now")
    part = owner.client.get(again.replace("&amp;", "&"), headers={"HX-Request": "true"}).text
    assert "just now" in part
    assert "webhooks-title" not in part


def test_a_member_pauses_and_resumes(member: Person, viewer: Person, make: Callable[..., SendingList]) -> None:
    row = make()
    assert viewer.post("list_pause", row.pk).status_code == 403
    assert "Paused: nothing is sent" in member.client.post(member.url("list_pause", row.pk), follow=True).text
    row.refresh_from_db()
    assert row.status == "paused"
    member.post("list_resume", row.pk)
    row.refresh_from_db()
    assert row.status == "active"
    assert list(AuditEntry.objects.order_by("id").values_list("verb", flat=True)) == ["paused", "resumed"]


def test_what_support_suspended_is_not_resumed_by_a_member(member: Person, make: Callable[..., SendingList]) -> None:
    row = make(status="suspended")
    text = member.client.post(member.url("list_resume", row.pk), follow=True).text
    assert "Nothing was done: the list is suspended." in text
    row.refresh_from_db()
    assert row.status == "suspended"


def test_an_edit_changes_the_list_and_leaves_what_a_worker_writes(
    member: Person, make: Callable[..., SendingList], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make()
    slot = factories.now() + timedelta(hours=1)
    before = SendingList.save

    def save_later(self: SendingList, **kwargs: Any) -> None:
        SendingList.objects.filter(pk=self.pk).update(next_slot_at=slot, status="paused")
        before(self, **kwargs)

    monkeypatch.setattr(SendingList, "save", save_later)
    fields = {"name": "New", "brand": "Shop", "opt_out_scope": "brand", "messages_per_minute": 60}
    member.client.post(member.url("list_edit", row.pk), fields)
    row.refresh_from_db()
    assert (row.name, row.brand, row.opt_out_scope, row.messages_per_minute) == ("New", "Shop", "brand", 60)
    assert (row.next_slot_at, row.status) == (slot, "paused")


def test_only_an_owner_deletes_and_only_when_it_is_meant(
    owner: Person, member: Person, make: Callable[..., SendingList]
) -> None:
    row = make()
    assert member.post("list_delete", row.pk, is_sure="on").status_code == 403
    owner.post("list_delete", row.pk)
    row.refresh_from_db()
    assert row.status == "active"
    text = owner.client.post(owner.url("list_delete", row.pk), {"is_sure": "on"}, follow=True).text
    row.refresh_from_db()
    assert row.status == "deleted"
    assert "Reports and STOP are still taken." in text
    assert owner.url("credentials_numbers", row.provider_account_id) in text


def test_deleting_a_list_has_its_number_taken_back_at_the_provider(owner: Person, account: Account) -> None:
    party = factories.ProviderAccountFactory(
        account=account, provider="twilio", settings={"account_sid": "AC1", "auth_token": "t"}
    )
    row = factories.SendingListFactory(provider_account=party)
    party.steps.create(key=f"number {row.number}", position=0, title="Number", state="done", at=factories.now())
    owner.post("list_delete", row.pk, is_sure="on")
    party.refresh_from_db()
    assert party.setup_task == "configure"


# --- test messages


def test_a_test_message_is_queued_as_a_test_and_its_page_says_what_it_waits_for(
    member: Person, make: Callable[..., SendingList]
) -> None:
    row = make(name="Autumn")
    assert "Test message of Autumn." in member.get("list", row.pk).text
    answer = member.post("list_test", row.pk, to="+1 (415) 555-0101", text="Hello")
    message = Message.objects.get()
    assert (message.to, message.body, message.is_test, message.sending_list) == (PHONE, "Hello", True, row)
    assert answer["Location"] == member.url("test_message", message.public_id)
    text = member.client.get(answer["Location"]).text
    assert "Queued: it waits for its turn" in text
    assert 'hx-trigger="every 1s"' in text


def test_the_text_leads_to_an_offer_where_there_is_one(member: Person, make: Callable[..., SendingList]) -> None:
    row = make()
    assert "{{link}}" not in member.get("list", row.pk).text
    offer = factories.OfferFactory(account=row.account, name="Trial month")
    assert "{{link}}" in member.get("list", row.pk).text
    member.post("list_test", row.pk, to=PHONE, text="See {{link}}", offer=offer.pk)
    message = Message.objects.get()
    assert message.body.startswith("See https://hooks.example.com/c/")
    assert message.link_set.get().offer == offer


def test_what_cannot_be_queued_is_said_under_its_field_and_the_text_stays(
    member: Person, make: Callable[..., SendingList]
) -> None:
    row = make()
    text = member.post("list_test", row.pk, to="4155550101", text="Kept words").text
    assert "Write it with + and the country code" in text
    assert "Kept words" in text
    text = member.post("list_test", row.pk, to=PHONE, text="x" * 1_700).text
    assert "the provider takes 1,600" in text
    SendingList.objects.update(status="paused")
    text = member.post("list_test", row.pk, to=PHONE, text="Kept words").text
    assert "only an active one sends" in text
    assert not Message.objects.exists()
    assert not Contact.objects.exists()


def test_another_accounts_offer_is_no_choice(member: Person, make: Callable[..., SendingList], other: Account) -> None:
    row = make()
    factories.OfferFactory(account=row.account)
    foreign = factories.OfferFactory(account=other)
    member.post("list_test", row.pk, to=PHONE, text="See {{link}}", offer=foreign.pk)
    assert not Message.objects.exists()


def test_the_timeline_stops_asking_when_the_message_is_over(owner: Person, make: Callable[..., SendingList]) -> None:
    message = factories.MessageFactory(sending_list=make(), is_test=True, due_at=None, sent_at=factories.now())
    page = owner.url("test_message", message.public_id)
    part = owner.client.get(page, headers={"HX-Request": "true"}).text
    assert "waiting for the carrier" in part
    assert "hx-get" in part
    assert "#announce" not in part
    Message.objects.update(status="delivered", status_at=factories.now())
    part = owner.client.get(page, headers={"HX-Request": "true"}).text
    assert "hx-get" not in part
    assert "innerHTML:#announce" in part
    assert "innerHTML:#announce" not in owner.client.get(page).text


def test_when_nothing_comes_within_a_minute_the_page_leads_to_the_check(
    owner: Person, make: Callable[..., SendingList]
) -> None:
    message = factories.MessageFactory(sending_list=make(), is_test=True, sent_at=factories.now())
    page = owner.url("test_message", message.public_id)
    way = f"{owner.url('credentials', message.provider_account_id)}#examine"
    assert way not in owner.client.get(page).text
    Message.objects.update(created_at=factories.now() - timedelta(minutes=2))
    text = owner.client.get(page).text
    assert way in text
    assert "hx-trigger" in text
    Message.objects.update(created_at=factories.now() - timedelta(minutes=16))
    assert "hx-trigger" not in owner.client.get(page).text


def test_a_viewer_sees_the_recipient_masked(viewer: Person, make: Callable[..., SendingList]) -> None:
    message = factories.MessageFactory(sending_list=make(), to=PHONE, body=f"Call {PHONE}")
    assert PHONE not in viewer.get("test_message", message.public_id).text


def test_what_the_sandbox_does_is_told_for_every_ending_it_knows(
    owner: Person, make: Callable[..., SendingList], account: Account
) -> None:
    assert [digits for digits, _ in ENDINGS] == sorted({*FATES, *REFUSALS})
    assert "undelivered: the phone is off" in owner.get("list", make().pk).text
    party = factories.ProviderAccountFactory(account=account, provider="cm", settings={"product_token": "t"})
    assert "the phone is off" not in owner.get("list", make(party=party).pk).text


def test_another_accounts_list_is_unknown_to_every_verb(rival: Person, make: Callable[..., SendingList]) -> None:
    row = make()
    message = factories.MessageFactory(sending_list=row)
    for name in ("pause", "resume", "edit", "delete", "test"):
        assert rival.post(f"list_{name}", row.pk, is_sure="on", to=PHONE, text="x").status_code == 404
    assert rival.get("list", row.pk).status_code == 404
    assert rival.get("test_message", message.public_id).status_code == 404
    assert Message.objects.count() == 1
