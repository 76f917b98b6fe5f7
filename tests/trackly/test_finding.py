"""The one search box: whatever a ticket holds leads to its row; where there is none, the page says what can be said."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from tests import factories
from trackly.signing import new_token, token_hash
from trackly.stories.terms import phones_of, read
from trackly.support import sources
from trackly.support.ways import change_url
from trackly.totals import hour_of
from webhooks.inbound.models import Cause, RequestTotal

PERSON = "+14155550101"
pytestmark = pytest.mark.django_db
Find = Callable[..., HttpResponse]


@pytest.fixture
def find(client: Client) -> Find:
    """Search as a superuser."""
    client.force_login(factories.StaffFactory())
    return lambda text: client.get(reverse("admin:find"), {"q": text})


def leads_to(answer: Any, *rows: Model) -> bool:
    """The search went to the only row, or shows these."""
    if answer.status_code == 302:
        return [answer["Location"]] == [change_url(row) for row in rows]
    assert answer.status_code == 200
    return all(f'href="{change_url(row)}"' in answer.text for row in rows)


def total(**fields: Any) -> RequestTotal:
    now = factories.now()
    values = {
        "hour": hour_of(now),
        "source": "webhook",
        "slug": "sandbox",
        "standing": "accepted",
        "n": 1,
        "last_at": now,
    }
    return RequestTotal.objects.create(**(values | fields))


# --- each kind of thing


def test_a_message_is_found_by_each_of_its_names(find: Find) -> None:
    message = factories.MessageFactory(provider_message_id="SM0123abc", to=PERSON)
    factories.MessageFactory()
    for name in (message.public_id, message.reference, "SM0123abc", PERSON):
        assert leads_to(find(name), message), name


def test_a_phone_is_found_in_any_usual_spelling(find: Find) -> None:
    message = factories.MessageFactory(to=PERSON)
    spellings = [
        "(415) 555-0101",
        "415.555.0101",
        "14155550101",
        "+1 415 555 0101",
        "001 (415) 555-0101",
        "tel:+14155550101",
    ]
    for spelling in [*spellings, "\u202a+1 415\u2011555\u20110101\u202c", " '+14155550101', "]:
        assert leads_to(find(spelling), message), spelling
    british = factories.MessageFactory(to="+442079460018")
    for spelling in ("00 44 20 7946 0018", "+44 (0)20 7946 0018"):
        assert leads_to(find(spelling), british), spelling


def test_a_phone_shows_all_that_is_known_of_it(find: Find) -> None:
    rows = [
        factories.MessageFactory(to=PERSON),
        factories.ContactFactory(phone=PERSON),
        factories.SuppressionFactory(phone=PERSON),
        factories.ReplyFactory(sender=PERSON, text=f"STOP, says {PERSON}"),
        factories.InboundRequestFactory(ids=[PERSON], outcome=f"{PERSON} opted out"),
        factories.SendingListFactory(number=PERSON),
    ]
    event = factories.DeliveryEventFactory(message=rows[0])
    answer = find("415-555-0101")
    assert leads_to(answer, *rows, event)
    # Only the box repeats what the person typed.
    assert "4155550101" not in answer.text
    assert "+141••••••01" in answer.text


def test_a_click_is_found_with_its_conversions(find: Find) -> None:
    click = factories.ClickFactory()
    assert leads_to(find(click.click_id.upper()), click)
    conversion = factories.ConversionFactory(click=click, account=click.account)
    assert leads_to(find(click.click_id), click, conversion)


def test_a_transaction_is_found_with_the_request_it_came_in(find: Find) -> None:
    conversion = factories.ConversionFactory(
        transaction_id="TX-77 b", payout="12.5", currency="USD", kind="", verdict="unknown_click"
    )
    request = factories.InboundRequestFactory(source="postback", slug="tune", ids=["TX-77 b"], state="done")
    assert leads_to(find("TX-77 b"), conversion, request)
    assert not leads_to(find("tx-77 b"), conversion)


def test_a_conversion_whose_click_nobody_knows_is_found_by_that_click(find: Find) -> None:
    lost = new_token()
    request = factories.InboundRequestFactory(source="postback", slug="tune", ids=[lost], state="done")
    conversion = factories.ConversionFactory(request_uid=request.uid, click_ref=lost, verdict="unknown_click")
    assert leads_to(find(lost), conversion, request)


def test_a_request_is_found_by_its_id_and_with_it_what_it_said(find: Find) -> None:
    request = factories.InboundRequestFactory(source="postback", slug="tune", state="done")
    factories.InboundRequestFactory()
    assert leads_to(find(str(request.uid)), request)
    assert leads_to(find(str(request.uid).upper()), request)
    conversion = factories.ConversionFactory(request_uid=request.uid)
    assert leads_to(find(str(request.uid)), request, conversion)


def test_a_parked_report_a_reply_and_its_request_are_found_by_the_providers_id(find: Find) -> None:
    parked = factories.ParkedReportFactory(message_key="vendor-9")
    assert leads_to(find("vendor-9"), parked)
    reply = factories.ReplyFactory(key="SMreply1")
    request = factories.InboundRequestFactory(ids=["SMreply1", PERSON], party_id=reply.provider_account_id)
    assert leads_to(find("SMreply1"), reply, request)


def test_a_short_link_is_found_by_its_code_and_by_its_url(find: Find) -> None:
    link = factories.LinkFactory(code="aBc23dE")
    for text in (
        "aBc23dE",
        "https://s.example.com/c/aBc23dE",
        "s.example.com/c/aBc23dE/?utm=1",
        "see /c/aBc23dE please",
    ):
        assert leads_to(find(text), link), text
    assert not leads_to(find("abc23de"), link)


def test_a_callback_url_pasted_whole_leads_to_whom_it_belongs(find: Find) -> None:
    party = factories.ProviderAccountFactory(callback_token=new_token())
    url = f"https://anything.example.org/api/webhook-feedbacks/sandbox/{party.callback_token}"
    for text in (
        url,
        f"<{url}/status>",
        f"curl -X POST '{url}' -H 'Content-Type: application/json'",
        party.callback_token,
    ):
        assert leads_to(find(text), party), text
    assert leads_to(find(f"/api/webhook-feedbacks/sandbox/~{party.pk}"), party)
    assert leads_to(find(f"{url}?account={party.account.public_id}"), party, party.account)


def test_a_former_token_leads_there_too_and_is_called_former(find: Find) -> None:
    former, until = new_token(), factories.now() + timedelta(days=1)
    party = factories.ProviderAccountFactory(previous_token_hash=token_hash(former), previous_token_until=until)
    account = party.account
    answer = find(f"/api/webhook-feedbacks/sandbox/{former}?account={account.public_id}")
    assert leads_to(answer, party, account)
    assert f"its former token, valid until {until:%Y-%m-%d %H:%M} UTC" in answer.text


def test_a_postback_url_leads_to_connection_click_and_conversion(find: Find) -> None:
    network = factories.NetworkConnectionFactory(postback_token=new_token())
    click = factories.ClickFactory()
    conversion = factories.ConversionFactory(transaction_id="T/1 2", click=click)
    url = f"https://hooks.example.com/api/postbacks/tune/{network.postback_token}"
    answer = find(f"{url}?aff_click_id={click.click_id.upper()}&txid=T%2F1+2&payout=3.5&unknown=1")
    assert leads_to(answer, network, click, conversion)


def test_a_providers_own_account_id_leads_to_its_accounts(find: Find) -> None:
    sid = "AC" + "0" * 31 + "1"
    party = factories.ProviderAccountFactory(provider="twilio", settings={"account_sid": sid})
    assert leads_to(find(sid), party)
    assert leads_to(find(party.account.public_id), party.account)


def test_the_ids_in_a_piece_of_a_log_are_found(find: Find) -> None:
    message = factories.MessageFactory(provider_message_id="0198b2c0-1111-4abc-8def-0123456789ab")
    click = factories.ClickFactory()
    json = f'{{"results":[{{"messageId":"{message.provider_message_id}","doneAt":"2026-11-23T18:00:00Z"}}]}}'
    assert leads_to(find(json), message)
    log = f'10.0.0.1 - - [23/Nov/2026] "GET /x?click_id={click.click_id}" 200 sid={message.provider_message_id}'
    assert leads_to(find(log), message, click)


def test_one_text_that_names_two_kinds_shows_both(find: Find) -> None:
    parked = factories.ParkedReportFactory(message_key="BOTH-1")
    conversion = factories.ConversionFactory(transaction_id="BOTH-1")
    answer = find("BOTH-1")
    assert leads_to(answer, parked, conversion)
    assert (
        answer.text.index("Conversions") < answer.text.index("Parked reports of")
        if "Parked reports of" in answer.text
        else True
    )


def test_more_than_ten_rows_lead_on_to_the_list(find: Find) -> None:
    for _ in range(12):
        factories.MessageFactory(to=PERSON)
    answer = find(PERSON)
    listed = reverse("admin:sendinglists_message_changelist")
    assert answer.text.count(f'href="{listed}') >= 1
    assert len(re.findall(r"Message \w{8} to", answer.text)) == 10


# --- what a person may not see


def test_what_a_person_may_not_see_is_left_out(client: Client) -> None:
    user = factories.UserFactory(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_message"))
    client.force_login(user)
    message = factories.MessageFactory(to=PERSON)
    contact = factories.ContactFactory(phone=PERSON)
    assert leads_to(client.get(reverse("admin:find"), {"q": PERSON}), message)
    contact.phone = "+14155550177"
    contact.save()
    answer = client.get(reverse("admin:find"), {"q": contact.phone})
    assert answer.status_code == 200
    assert change_url(contact) not in answer.text
    assert "When they called last" not in answer.text


def test_who_is_no_staff_is_asked_to_log_in(client: Client) -> None:
    assert client.get(reverse("admin:find"), {"q": "x"}).status_code == 302
    client.force_login(factories.UserFactory())
    assert "/login/" in client.get(reverse("admin:find"), {"q": "x"})["Location"]


# --- nothing found


def test_nothing_found_says_what_it_was_taken_for(find: Find) -> None:
    for text, said in (
        ("(415) 555-0101", "a phone number, +141••••••01"),
        (new_token(), "a click id, a message&#x27;s reference or a token"),
        ("ORDER-1", "the id of a message, transaction or reply"),
        ("0198b2c0-1111-7abc-8def-0123456789ab", "the id of a request"),
        ("https://s.example.com/c/zzzzzzz", "a short link with the code zzzzzzz"),
        ("/api/webhook-feedbacks/twilio/abcdefghijklmnopqrstuvwxyz", "a callback URL of Twilio"),
        ("/api/postbacks/nosuch/x?click_id=1", "a postback URL of &#x27;nosuch&#x27;"),
    ):
        answer = find(text)
        assert "Nothing is stored under this." in answer.text, text
        assert said in answer.text, text


def test_nothing_found_says_since_when_things_are_kept(find: Find, settings: Any) -> None:
    settings.RETENTION_WEBHOOKS_DAYS, settings.RETENTION_POSTBACKS_DAYS = 31, 401
    old = factories.now() - timedelta(days=3)
    factories.MessageFactory(created_at=old)
    factories.MessageFactory()
    text = find("ORDER-1").text
    assert "31 days" in text
    assert "401 days" in text
    assert f"{old:%Y-%m-%d %H:%M:%S}" in text
    assert "none is held" in text


def test_nothing_found_says_when_that_source_called_last_and_what_it_was_refused(find: Find) -> None:
    at = factories.now() - timedelta(hours=2)
    total(source="postback", slug="everflow", hour=hour_of(at), last_at=at, n=3)
    total(source="postback", slug="everflow", standing="bad_secret", n=17, hour=hour_of(at), last_at=at)
    total(source="postback", slug="tune", standing="plain_http", n=5)
    text = find("https://h.example/api/postbacks/everflow/abcdefghijklmnopqrstuvwxyz?click_id=gone").text
    assert f"{at:%Y-%m-%d %H:%M:%S}" in text
    assert Cause.BAD_TOKEN.label.lower() in text.lower()
    assert ">17<" in re.sub(r"</?bdi>", "", text)
    assert "refusal__exact=bad_secret" in text
    assert "slug__exact=everflow" in text
    assert "opens nothing: it is wrong, or was withdrawn" in text
    assert "TUNE" not in text
    assert "ask" in text.lower()
    assert "the exact time with its zone" in text


def test_a_request_that_still_waits_counts_as_a_call(find: Find) -> None:
    waiting = factories.InboundRequestFactory(ids=["other"])
    text = find("/api/webhook-feedbacks/sandbox/abcdefghijklmnopqrstuvwxyz").text
    assert f"{waiting.received_at:%Y-%m-%d %H:%M:%S}" in text
    assert "The newest still waits for a worker." in text


def test_the_links_of_the_empty_result_open(find: Find, client: Client) -> None:
    total(source="postback", slug="everflow", standing="bad_secret", n=17)
    total(standing="over_quota", n=2)
    total(standing="failed", n=2)
    text = find("nothing-1").text
    links = set(re.findall(r'class="tk-link[^"]*" href="([^"]+)"', text))
    assert len([link for link in links if "failedwebhook" in link]) >= 2
    for link in links:
        assert client.get(link.replace("&amp;", "&")).status_code == 200, link


def test_an_empty_search_says_what_can_be_pasted(find: Find) -> None:
    for text in ("", "  ", "\x00", '""', "\u202e"):
        answer = find(text)
        assert answer.status_code == 200
        assert "What can be found here?" in answer.text


# --- alarms of a vendor's console


def test_a_vendors_alarm_is_explained_with_the_health_of_its_source(find: Find) -> None:
    party = factories.ProviderAccountFactory(provider="twilio", name="Main SID")
    at = factories.now() - timedelta(minutes=5)
    total(slug="twilio", party_id=party.pk, account_id=party.account_id, last_at=at)
    total(slug="twilio", party_id=party.pk, account_id=party.account_id, standing="bad_signature", n=41, last_at=at)
    for asked in ("11200", "twilio 11200", "Twilio debugger shows 11200"):
        text = find(asked).text
        assert "got no 2xx in time" in text, asked
        assert f"{at:%Y-%m-%d %H:%M:%S}" in text
        assert change_url(party) in text
        assert "Main SID" in text
        assert Cause.BAD_SIGNATURE.label.lower() in text.lower()
        assert "refusal__exact=bad_signature" in text
        assert "Only /metrics knows them" in text
        assert "11205" not in text.replace(asked, "")


def test_a_networks_name_shows_all_its_alarms(find: Find) -> None:
    network = factories.NetworkConnectionFactory(network="everflow")
    for asked in ("everflow", "Everflow reports errors from us"):
        text = find(asked).text
        assert "errored postback" in text
        assert "deactivated postback" in text
        assert change_url(network) in text
        assert "None reached us" in text


def test_an_alarm_tells_whether_our_address_is_https(find: Find, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "http://hooks.example.com"
    assert "plain http" in find("11200").text
    settings.PUBLIC_BASE_URL = "https://hooks.example.com"
    assert "plain http" not in find("11200").text


def test_an_alarms_code_is_also_looked_up_as_an_id(find: Find) -> None:
    conversion = factories.ConversionFactory(transaction_id="11200")
    answer = find("11200")
    assert leads_to(answer, conversion)
    assert "got no 2xx in time" in answer.text


def test_an_ordinary_id_is_no_alarm() -> None:
    assert not sources.asked("ORDER 77")
    assert not sources.asked("errored postback")
    assert not sources.asked("x" * 300 + " twilio")


# --- hostile and odd texts


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>", "x" * 4000, "%27", "\U0001f600" * 50,
        "\x00\x00abc12\x00", "\u202eabc123\u202c", "' OR 1=1 --", "{{7*7}}", "\u0001" * 50,
        '"' * 3000, "1" * 4000, "[" * 3000, "/api/postbacks/" * 300, "/c/" * 1000, "abc12 " * 600, "=cmd|' /C calc'!A0",
        "ffffffff-ffff-7fff-bfff-ffffffffffff", "/api/webhook-feedbacks/twilio/?" + "a=1&" * 900, "-d '{" * 500, "+" + "9" * 30,
    ],
)  # fmt: skip
def test_a_hostile_text_is_harmless(find: Find, text: str) -> None:
    answer = find(text)
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "\u202e" not in answer.text.replace(f'value="{text[:500]}"', "")
    assert "\x00" not in answer.text


def test_hostile_rows_are_shown_as_text(find: Find) -> None:
    evil = "<script>alert(1)</script>\u202e"
    factories.ConversionFactory(transaction_id="EVIL-1", detail=evil)
    factories.ParkedReportFactory(message_key="EVIL-1", error=evil)
    text = find("EVIL-1").text
    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text
    assert "‹U+202E›" in text
    assert "\u202e" not in text


def test_a_text_of_a_thousand_ids_is_looked_up_in_twenty() -> None:
    terms = read(" ".join(f"id{n:05d}" for n in range(1000)))
    assert len(terms.words) <= 20


def test_ordinary_words_and_dates_are_no_ids() -> None:
    terms = read(
        '{"status": "delivered", "doneAt": "2026-11-23", "error": {"permanent": false}, "messageId": "m12345"}'
    )
    assert terms.words[1:] == ("m12345",)


def test_a_phone_needs_its_country_code() -> None:
    assert phones_of("020 7946 0018") == ()
    assert phones_of("12345") == ()
    assert phones_of("4155550101")[0] == "+14155550101"
