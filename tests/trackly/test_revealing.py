"""Phone numbers and tokens are masked wherever they stand, until somebody who may reveals one row; that is audited."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Permission
from django.db import models
from django.test import Client
from django.urls import reverse

from sendinglists.models import Contact, Message, ProviderAccount, Suppression
from tests import factories
from tests.trackly.admin_rows import PHONE, page, pages_of, person, sale_and_stop
from trackly.models import AuditEntry
from trackly.showing import without_phones
from trackly.support import revealing
from webhooks.inbound.models import DeliveryEvent, InboundRequest, ParkedReport, Reply

# In any spelling: between the digits, and before them, may stand what people and encoders put there.
LEAK = re.compile(r"4\D{0,3}1\D{0,3}5\D{0,3}5\D{0,3}5\D{0,3}5\D{0,3}0\D{0,3}1\D{0,3}7\D{0,3}7")
SPELT = f"Number {PHONE} ({PHONE[1:]}, {quote(PHONE)}, +1 415 555 0177, (415) 555-0177) unreachable"
BODY = f'{{"to":"{PHONE[1:]}","from":"{PHONE}","text":"call 001 415-555-0177"}}&To={quote(PHONE)}&to={PHONE[1:]}'
WORDS = {
    Message: ("body", "error_text", "status_detail"),
    DeliveryEvent: ("error_text",),
    Reply: ("text",),
    InboundRequest: ("outcome", "last_error"),
}
BYTES = {InboundRequest: ("body", "answer", "query", "headers")}
MASKED_ON = (Contact, Message, Reply, DeliveryEvent, Suppression)


def world() -> dict[type[models.Model], Any]:
    """A sale and a STOP whose every free text repeats the number."""
    rows = sale_and_stop()
    for row in rows:
        changes: dict[str, Any] = {
            name: SPELT[: row._meta.get_field(name).max_length] for name in WORDS.get(type(row), ())
        }
        changes |= {name: BODY.encode() for name in BYTES.get(type(row), ())}
        if isinstance(row, ParkedReport):
            changes["report"] = f'{{"to":"{PHONE[1:]}","error_text":"{PHONE} is off"}}'.encode()
        if isinstance(row, InboundRequest):
            changes |= {"state": "failed", "ids": ["abc", PHONE]}
        if changes:
            type(row)._base_manager.filter(pk=row.pk).update(**changes)
            row.refresh_from_db()
    return {type(row): row for row in rows}


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(person(is_superuser=True))
    return client


def reveal(client: Client, row: models.Model) -> Any:
    return client.post(page(type(row), "change", row.pk).replace("change/", "do/reveal/"))


def shown(client: Client, row: models.Model) -> str:
    return client.get(page(type(row), "change", row.pk)).text


# --- masked


@pytest.mark.django_db
def test_no_page_shows_a_whole_number_before_it_is_revealed(staff: Client) -> None:
    rows = world()
    factories.AuditEntryFactory(verb="discarded", detail=f"{PHONE} asked us to")
    found = f"{reverse('admin:find')}?q={rows[Message].reference}"
    leaks = {}
    for url in [*pages_of(list(rows.values())), reverse("admin:index"), found]:
        answer = staff.get(url)
        assert answer.status_code in (200, 302), url
        if leak := LEAK.search(answer.text):
            leaks[url] = answer.text[max(leak.start() - 60, 0) : leak.end() + 20]
    assert not leaks


@pytest.mark.django_db
def test_what_an_action_says_does_not_show_a_number(staff: Client) -> None:
    rows = world()
    request = rows[InboundRequest]
    for verb in ("replay", "discard"):
        url = f"/admin/webhooks/inboundrequest/{request.pk}/do/{verb}/"
        assert not LEAK.search(staff.post(url, {"word": f"{PHONE} asked"}, follow=True).text)


@pytest.mark.django_db
def test_tokens_show_after_a_reveal_alone_and_credentials_never(staff: Client) -> None:
    rows = world()
    party = rows[ProviderAccount]
    party.credentials = [{"values": {"signing_key": "hush-hush"}, "until": None}]
    party.save()
    connection = next(row for row in rows.values() if hasattr(row, "postback_token"))
    text = "".join(staff.get(url).text for url in pages_of(list(rows.values())))
    for secret in (party.callback_token, connection.postback_token, "hush-hush"):
        assert secret not in text
    for row, token in ((party, party.callback_token), (connection, connection.postback_token)):
        reveal(staff, row)
        assert token in shown(staff, row)
    assert "hush-hush" not in shown(staff, party)


@pytest.mark.django_db
def test_a_key_is_shown_once_when_it_is_made(staff: Client) -> None:
    account = factories.AccountFactory()
    values = {"account": account.pk, "name": "Reports"}
    made = staff.post(reverse("admin:trackly_apikey_add"), values, follow=True).text
    key = re.search(r"trk_[a-z2-7]{26}", made)
    assert key is not None
    row = account.apikey_set.get()
    assert key.group() not in shown(staff, row)
    assert key.group() not in staff.get(page(type(row), "changelist")).text


# --- revealed


@pytest.mark.django_db
@pytest.mark.parametrize("model", MASKED_ON, ids=lambda model: model.__name__)
def test_a_revealed_row_shows_its_number_and_the_look_is_audited(staff: Client, model: type[models.Model]) -> None:
    row = world()[model]
    assert "Reveal what is masked" in shown(staff, row)
    told = reveal(staff, row)
    assert told.headers["Location"] == page(model, "change", row.pk)
    assert PHONE in shown(staff, row)
    entry = AuditEntry.objects.get(verb="revealed")
    assert entry.target == f"{model._meta.verbose_name} {row.pk}"
    assert (entry.account_id, entry.user.is_staff) == (row.account_id, True)
    assert not LEAK.search(staff.get(page(model, "changelist")).text), "a list is no place to reveal it"


@pytest.mark.django_db
def test_a_revealed_request_is_whole_on_its_page_and_in_its_download(staff: Client) -> None:
    row = world()[InboundRequest]
    download = page(InboundRequest, "download", row.pk)
    assert not LEAK.search(staff.get(download).text)
    reveal(staff, row)
    assert BODY in staff.get(download).text
    assert LEAK.search(shown(staff, row))
    assert AuditEntry.objects.get(verb="revealed").target == f"request {row.pk}"


@pytest.mark.django_db
def test_it_is_revealed_for_this_row_and_this_session_alone(staff: Client) -> None:
    rows = world()
    other = factories.MessageFactory(sending_list=rows[Message].sending_list, to=PHONE)
    reveal(staff, rows[Message])
    assert not LEAK.search(shown(staff, other))
    assert not LEAK.search(shown(staff, rows[Contact]))
    elsewhere = Client()
    elsewhere.force_login(AuditEntry.objects.get(verb="revealed").user)
    assert not LEAK.search(shown(elsewhere, rows[Message]))


@pytest.mark.django_db
def test_it_is_masked_again_after_ten_minutes(staff: Client) -> None:
    row = world()[Message]
    reveal(staff, row)
    session = staff.session
    (name, until), *_ = session["revealed"].items()
    assert timedelta(minutes=9) < timedelta(seconds=until - factories.now().timestamp()) <= revealing.LASTS
    session["revealed"] = {name: factories.now().timestamp() - 1}
    session.save()
    assert not LEAK.search(shown(staff, row))


@pytest.mark.django_db
def test_without_the_permission_nothing_is_revealed_and_nothing_noted(client: Client) -> None:
    row = world()[Message]
    client.force_login(person("view_message", "change_message"))
    assert "Reveal what is masked" not in shown(client, row), "a button that refuses"
    assert reveal(client, row).status_code == 403
    assert not LEAK.search(shown(client, row))
    assert not AuditEntry.objects.filter(verb="revealed").exists()


@pytest.mark.django_db
def test_a_withdrawn_permission_masks_what_was_revealed(client: Client) -> None:
    row = world()[Message]
    user = person("view_message", "reveal")
    client.force_login(user)
    reveal(client, row)
    assert LEAK.search(shown(client, row))
    user.user_permissions.remove(Permission.objects.get(codename="reveal"))
    assert not LEAK.search(shown(client, row))


@pytest.mark.django_db
def test_a_row_that_may_not_be_seen_cannot_be_revealed(client: Client) -> None:
    row = world()[Message]
    client.force_login(person("reveal", "view_contact"))
    assert reveal(client, row).status_code == 403
    assert not AuditEntry.objects.filter(verb="revealed").exists()


@pytest.mark.django_db
def test_a_session_does_not_grow_with_every_reveal(staff: Client) -> None:
    party = factories.ProviderAccountFactory()
    for _ in range(revealing.MOST + 2):
        newest = factories.MessageFactory(provider_account=party, sending_list=None)
        reveal(staff, newest)
    assert len(staff.session["revealed"]) == revealing.MOST
    assert newest.to in shown(staff, newest)


@pytest.mark.django_db
def test_a_number_in_a_postback_is_masked_and_can_be_revealed(staff: Client) -> None:
    row = factories.ConversionFactory(query=f"click_id=k&sub3={quote(PHONE)}&payout=12345678.50".encode())
    assert not LEAK.search(shown(staff, row))
    assert "payout=12345678.50" in shown(staff, row)
    reveal(staff, row)
    assert quote(PHONE) in shown(staff, row)
    assert "Reveal" not in shown(staff, factories.ConversionFactory())


# --- in texts

MASKED = (
    '{"to":"14155550177"}', '{"to": 14155550177}', '{"To" : "0014155550177"}', "To=%2B14155550177&x=1", "to=%2b14155550177",
    "phone=14155550177", "msisdn=14155550177&status=4", "&From=+14155550177&", "tel:+14155550177", "+1 (415) 555-0177",
    "+1-415-555-0177", "+1.415.555.0177", "%2B1%20415%20555%200177", "%2B1+415+555+0177", "%252B14155550177",
    '"\\u002b14155550177"', '{"from":{"number":"0014155550177"}}', "x+14155550177y",
)  # fmt: skip
KEPT = (
    '{"messageId":"14155550177","bulkId":"41555501771234"}', "2026-11-23T18:44:28.123+0000", "2026-11-23 18:44:28+00:00",
    "at=x+2026-11-23+18:44:28", "ts=1732380000000", "amount=12345678.90", "payout=1000000.000000",
    "01a209b9-4d59-765e-b1ea-4dc84ae0e1ce",
    "Content-Length: 12345678", "203.0.113.117", "transaction_id=14155550177", "at once, +1 min, +5 min, +30 min",
    "order 14155550177",
    "click_id=a4155550177b", "+12", "12345678 of 12345678",
)  # fmt: skip


@pytest.mark.parametrize("text", MASKED)
def test_what_is_written_as_a_number_is_masked(text: str) -> None:
    assert not LEAK.search(without_phones(text))
    assert without_phones(text).endswith(text[-1])


@pytest.mark.parametrize("text", KEPT)
def test_other_digits_stay_as_they_are(text: str) -> None:
    assert without_phones(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "14155550177",
        "4155550177",
        "0014155550177",
        "(415) 555-0177",
        "415.555.0177",
        "id 7 4155550177 200",
        "415%20555%200177",
    ],
)
def test_a_known_number_is_masked_in_whatever_spelling(text: str) -> None:
    assert not LEAK.search(without_phones(text, [PHONE]))
    assert without_phones("5155550178", [PHONE]) == "5155550178"


def test_masking_a_body_at_the_cap_takes_seconds_not_minutes() -> None:
    numbers = [f"+1415555{n:04d}" for n in range(500)]
    for piece in ('{"to":"14155550177"},', "1", "to ", "1-", "+", "%2B"):
        body = piece * (500_000 // len(piece))
        started = factories.now()
        without_phones(body, numbers)
        assert factories.now() - started < timedelta(seconds=10)
