"""What a story says is so: its sentences by case, its links both ways, its cost, and that missing rows do not break it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests import factories
from tests.trackly.admin_rows import OURS, page, person, sale_and_stop
from trackly.signing import new_uid
from trackly.stories import Story
from trackly.stories.conversions import conversion_story
from trackly.stories.messages import message_story, parked_story
from trackly.stories.people import contact_story
from trackly.stories.requests import request_story
from trackly.support.ways import change_url
from webhooks.inbound.models import InboundRequest

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)
PHONE = "+14155550177"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(person(is_superuser=True))
    return client


def why(story: Story) -> str:
    return " ".join(story.why)


# --- a message is stuck


def stuck(**fields: Any) -> Any:
    return factories.MessageFactory(created_at=NOW - 3 * timedelta(hours=1), status="sent", **fields)


def called(message: Any, at: datetime, standing: str = "accepted", n: int = 1) -> None:
    hour = at.replace(minute=0, second=0, microsecond=0)
    factories.RequestTotalFactory(party_id=message.provider_account_id, hour=hour, last_at=at, standing=standing, n=n)


def told(message: Any) -> str:
    return why(message_story(message, is_revealed=False, now=NOW))


def test_a_message_of_a_provider_account_that_was_never_called() -> None:
    said = told(stuck())
    assert "The provider never reported about it." in said
    assert "was never called about any message: the callback URL is not registered" in said


def test_a_message_sent_after_the_callbacks_stopped() -> None:
    message = stuck()
    called(message, NOW - 5 * timedelta(hours=1))
    assert "was last called 5 h ago, before this message: callbacks do not reach us any more" in told(message)


def test_a_message_whose_callbacks_are_refused() -> None:
    message = stuck()
    called(message, NOW - timedelta(minutes=20), standing="bad_signature", n=7)
    called(message, NOW - 2 * DAY, standing="bad_signature", n=90)
    said = told(message)
    assert (
        "Since then 7 callbacks of that provider account, perhaps one about this message, were refused or failed"
        in said
    )
    assert "97" not in said


def test_a_message_that_waits_though_callbacks_arrive() -> None:
    message = stuck()
    called(message, NOW - timedelta(minutes=5), n=40)
    factories.DeliveryEventFactory(message=message)
    said = told(message)
    assert "was called 5 min ago, so callbacks reach us; the carrier may owe this one" in said
    assert "refused" not in said
    assert "The provider reported 1 times about it, nothing final." not in said, "grammar"


def test_calls_of_another_provider_account_are_no_calls_of_this_one() -> None:
    message, other = stuck(), stuck()
    called(other, NOW, n=5)
    assert "was never called" in told(message)


def test_a_final_message_and_a_young_one_are_not_called_stuck() -> None:
    done = factories.MessageFactory(created_at=NOW - DAY, status="delivered")
    young = factories.MessageFactory(created_at=NOW - timedelta(minutes=10), status="sent")
    assert told(done) == told(young) == ""


# --- payout zero, counted twice


def hit(**fields: Any) -> Any:
    values = {
        "verdict": "recorded",
        "kind": "conversion",
        "key": new_uid(0).bytes * 2,
        "payout": Decimal(0),
        "received_at": NOW,
    }
    return factories.ConversionFactory(**(values | {"is_verified": True} | fields))


def said_of(row: Any) -> str:
    return why(conversion_story(row, may_change=True, is_revealed=False, now=NOW))


@pytest.mark.parametrize(
    ("fields", "default", "said"),
    [
        ({"payout_text": "0.00"}, Decimal(5), "because the postback says so: '0.00'"),
        ({"offer": None}, None, "the click leads to no offer that could have a default"),
        ({}, None, "the offer has no default payout"),
        ({"flags": ["default_payout_not_applied"]}, Decimal(5), "names another currency and no amount"),
        ({}, Decimal(0), "the offer's default payout is zero"),
    ],
)
def test_why_a_payout_is_zero(fields: dict[str, Any], default: Decimal | None, said: str) -> None:
    offer = factories.OfferFactory(default_payout=default)
    text = said_of(hit(**({"offer": offer, "account": offer.account} | fields)))
    assert said in text
    assert text.count("The payout is zero") == 1


def test_a_payout_that_is_not_zero_is_not_explained() -> None:
    assert "zero" not in said_of(hit(payout=Decimal("0.01")))


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"event": ""}, {"event": "7"}, "they report different events"),
        ({"network": "tune"}, {"network": "everflow"}, "from different networks"),
        ({"transaction_id": "a"}, {"transaction_id": "b"}, "the transaction ids differ"),
        ({"transaction_id": "a"}, {"transaction_id": "a", "kind": "upsell"}, "the connection's duplicate rule is 'add"),
    ],
)
def test_why_a_sale_counts_twice(first: dict[str, Any], second: dict[str, Any], said: str) -> None:
    click = factories.ClickFactory()
    bound = {
        "click": click, "account": click.account, "payout": Decimal(1),
        "connection": factories.NetworkConnectionFactory(account=click.account, duplicate_rule="add"),
    }  # fmt: skip
    rows = [hit(**bound, **first), hit(**bound, **second)]
    for row in rows:
        assert "This click has 1 other conversion that count" in said_of(row)
        assert said in said_of(row)


@pytest.mark.parametrize("other", [{"kind": "", "verdict": "duplicate"}, {"kind": "adjustment", "verdict": "adjusted"}])
def test_a_duplicate_and_an_adjustment_are_no_second_sale(other: dict[str, Any]) -> None:
    click = factories.ClickFactory()
    row = hit(click=click, account=click.account, payout=Decimal(1))
    hit(click=click, account=click.account, payout=Decimal(-1), **other)
    assert "This click has" not in said_of(row)


# --- STOP, and still messages


def opted_out(scope: str) -> tuple[Any, Any]:
    """A contact whose STOP closed its list, its brand or its account a day ago; and the list it wrote to."""
    sending_list = factories.SendingListFactory(brand="Acme")
    contact = factories.ContactFactory(account=sending_list.account, phone=PHONE)
    factories.SubscriptionFactory(
        sending_list=sending_list,
        contact=contact,
        state="opted_out" if scope == "list" else "subscribed",
        decided_at=NOW - DAY,
    )
    if scope != "list":
        brand = "Acme" if scope == "brand" else ""
        factories.SuppressionFactory(account=contact.account, phone=PHONE, brand=brand, decided_at=NOW - DAY)
    return contact, sending_list


def sister(sending_list: Any, brand: str) -> Any:
    return factories.SendingListFactory(provider_account=sending_list.provider_account, brand=brand)


@pytest.mark.parametrize(
    ("scope", "covered"),
    [("list", ["own"]), ("brand", ["own", "same brand"]), ("account", ["own", "same brand", "other brand"])],
)
def test_only_messages_of_lists_that_the_opt_out_covers_are_late(scope: str, covered: list[str]) -> None:
    contact, own = opted_out(scope)
    lists = {"own": own, "same brand": sister(own, "Acme"), "other brand": sister(own, "Zeta")}
    for sending_list in lists.values():
        factories.MessageFactory(sending_list=sending_list, to=PHONE, created_at=NOW)
        factories.MessageFactory(sending_list=sending_list, to=PHONE, created_at=NOW - 2 * DAY)
    story = contact_story(contact, is_revealed=False)
    late = [moment for moment in story.moments if getattr(moment.what, "text", "") == "Sent after the opt-out"]
    assert sorted(str(moment.detail).split(";")[0] for moment in late) == sorted(
        f"to {lists[name].name}" for name in covered
    )
    assert why(story).startswith(f"{len(covered)} of the messages")


def test_an_opt_out_that_was_obeyed_says_so() -> None:
    contact, own = opted_out("account")
    factories.MessageFactory(sending_list=own, to=PHONE, created_at=NOW - 2 * DAY)
    story = contact_story(contact, is_revealed=False)
    assert why(story) == "No message was sent to it after an opt-out that covers the message's list."
    assert story.headline == "This number is closed for the whole account."


def test_a_suppression_that_was_lifted_closes_nothing() -> None:
    contact, own = opted_out("account")
    contact.account.suppression_set.update(is_active=False)
    factories.MessageFactory(sending_list=own, to=PHONE, created_at=NOW)
    assert contact_story(contact, is_revealed=False).headline == "This number is opted out of nothing."


def test_another_accounts_opt_out_is_not_shown() -> None:
    contact, _ = opted_out("account")
    twin = factories.ContactFactory(phone=PHONE)
    assert contact_story(twin, is_revealed=False).headline == "This number is opted out of nothing."


# --- a report is parked


@pytest.mark.parametrize(
    ("fields", "age", "said"),
    [
        ({}, timedelta(seconds=5), "normal for seconds"),
        ({}, 2 * DAY, "No message of ours has this id"),
        ({"error": "the report is no JSON"}, 2 * DAY, "It was set aside: the report is no JSON"),
    ],
)
def test_why_a_report_is_parked(fields: dict[str, Any], age: timedelta, said: str) -> None:
    row = factories.ParkedReportFactory(received_at=NOW - age, **fields)
    assert said in why(parked_story(row, is_revealed=False, now=NOW))


# --- how a request stands


def asked(**fields: Any) -> Story:
    row = factories.InboundRequestFactory(**fields)
    return request_story(row, may_replay=True, may_allow=True, is_revealed=False)


@pytest.mark.parametrize(
    ("fields", "badge", "headline", "said"),
    [
        ({"state": "waiting"}, "Waiting", "takes it within a second", ""),
        ({"state": "waiting", "attempts": 2, "last_error": "T\nE: x"}, "Waiting", "failed 2 times, the next", "The error: E: x"),
        ({"state": "failed", "attempts": 4, "last_error": "T\nE: x"}, "Failed", "is tried no more", "a replay is needed"),
        ({"state": "done"}, "Done", "worked off", ""),
        ({"state": "done", "refusal": "unreadable"}, "Partly read", "body not readable", "its text and the reason stand below"),
        ({"state": "done", "refusal": "bad_secret", "source": "postback"}, "Not counted", "withdrawn token", "current URL"),
        ({"state": "discarded", "refusal": "bad_secret", "outcome": "Discarded: x"}, "Discarded", "by hand", "Discarded: x"),
        ({"state": "refused", "refusal": "bad_secret"}, "Refused", "wrong or withdrawn token", "give the sender the current URL"),
        ({"state": "refused", "refusal": "bad_signature"}, "Refused", "signature or credentials", "Mend the provider account"),
        ({"state": "refused", "refusal": "unproven"}, "Refused", "nothing proves", "Register the callback URL with the token"),
        ({"state": "refused", "refusal": "ip_not_allowed"}, "Refused", "address not on the list", "allow it here"),
        ({"state": "refused", "refusal": "plain_http"}, "Refused", "plain http", "Change http to https"),
        ({"state": "refused", "refusal": "unreadable"}, "Refused", "body not readable", "could not be read"),
        ({"state": "refused", "refusal": "unknown_account"}, "Refused", "no such account", "belongs to nobody"),
        ({"state": "refused", "refusal": "wrong_account"}, "Refused", "do not belong together", "belongs to another account"),
    ],
)  # fmt: skip
def test_how_a_request_stands_and_what_to_do(fields: dict[str, Any], badge: str, headline: str, said: str) -> None:
    story = asked(**fields)
    assert getattr(story.state, "text", "") == badge
    assert headline in story.headline
    assert said in why(story)


@pytest.mark.parametrize(
    ("fields", "verbs"),
    [
        ({"state": "done"}, ["replay"]),
        ({"state": "failed"}, ["replay", "discard"]),
        ({"state": "discarded"}, ["replay"]),
        ({"state": "refused", "refusal": "ip_not_allowed", "peer": "198.51.100.9"}, ["replay", "allow", "discard"]),
    ],
)
def test_what_may_be_done_about_a_request(fields: dict[str, Any], verbs: list[str]) -> None:
    assert [act.verb for act in asked(**fields).acts] == verbs


@pytest.mark.parametrize("cause", [cause for cause in InboundRequest._meta.get_field("refusal").choices if cause[0]])
def test_every_cause_has_its_advice(cause: tuple[str, str]) -> None:
    assert len(why(asked(state="refused", refusal=cause[0]))) > 30


# --- ways from one thing to the next


def test_request_event_message_click_and_conversion_lead_to_each_other(staff: Client) -> None:
    rows = {type(row).__name__: row for row in sale_and_stop()}
    message, event, click = rows["Message"], rows["DeliveryEvent"], rows["Click"]
    conversion, reply = rows["Conversion"], rows["Reply"]
    webhook = InboundRequest.objects.get(uid=event.request_uid)
    postback = InboundRequest.objects.get(uid=conversion.request_uid)
    pairs = [
        (webhook, message), (event, webhook), (event, message), (message, click), (message, conversion),
        (click, conversion), (conversion, postback), (reply, message), (click, rows["Link"]), (reply, rows["Contact"]),
        (rows["Contact"], message), (rows["Contact"], reply), (message, rows["Contact"]), (rows["ParkedReport"], webhook),
    ]  # fmt: skip
    for one, other in pairs:
        assert f'href="{change_url(other)}"' in staff.get(change_url(one)).text, f"{one!r} has no way to {other!r}"
    for one, other in (
        (message, webhook),
        (message, conversion),
        (conversion, click),
        (postback, conversion),
        (click, message),
    ):
        assert f'href="{change_url(other)}"' in staff.get(change_url(one)).text, f"{one!r} has no way to {other!r}"


# --- cost, and what is missing


def many(rows: dict[str, Any]) -> None:
    """Thirty of everything around one message, request, contact, link and party."""
    message, click, party = rows["Message"], rows["Click"], rows["ProviderAccount"]
    uid, now = rows["DeliveryEvent"].request_uid, factories.now()
    names = [message.reference]
    for n in range(30):
        other = factories.MessageFactory(sending_list=message.sending_list, to=message.to, created_at=now)
        names.append(other.reference)
        factories.DeliveryEventFactory(message=message, request_uid=uid)
        factories.DeliveryEventFactory(message=other, request_uid=uid)
        factories.ParkedReportFactory(message_key=message.reference, party_id=party.pk, request_uid=uid)
        factories.ReplyFactory(
            provider_account=party,
            sending_list=message.sending_list,
            sender=message.to,
            request_uid=uid,
            key=f"k{n}",
            message=other,
        )
        factories.ClickFactory(link=click.link, message=message)
        factories.ConversionFactory(
            account=message.account, click=click, message=message, request_uid=rows["Conversion"].request_uid, item=n + 1,
            connection=rows["NetworkConnection"], offer=rows["Offer"],
        )  # fmt: skip
        factories.LinkFactory(offer=rows["Offer"], message=other)
        sister_list = factories.SendingListFactory(provider_account=party)
        held = factories.SubscriptionFactory(sending_list=sister_list, contact=rows["Contact"])
        factories.SubscriptionChangeFactory(subscription=held)
        factories.SubscriptionChangeFactory(subscription=rows["Subscription"])
        factories.SuppressionFactory(account=message.account, phone=message.to, brand=f"b{n}")
        factories.AuditEntryFactory(target=f"request {uid}", user=person())
        factories.AuditEntryFactory(target=f"conversion {rows['Conversion'].pk}", user=person())
        factories.MembershipFactory(account=message.account, user=person())
        factories.ProviderAccountFactory(account=message.account)
        factories.NetworkConnectionFactory(account=message.account)
    InboundRequest.objects.filter(uid=uid).update(ids=[*names, *(f"k{n}" for n in range(30))], refusal="", state="done")


def test_no_page_asks_more_than_fifteen_times_however_much_there_is(staff: Client) -> None:
    rows = {type(row).__name__: row for row in sale_and_stop()}
    many(rows)
    rows["InboundRequest"] = InboundRequest.objects.get(uid=rows["DeliveryEvent"].request_uid)
    rows["FailedWebhook"] = rows["InboundRequest"]
    staff.get("/admin/")
    costs = {}
    for model in OURS:
        for url in (page(model, "change", rows[model.__name__].pk), page(model, "changelist")):
            with CaptureQueriesContext(
                connection,
            ) as asked:
                assert staff.get(url).status_code == 200
            costs[url] = len(asked)
    assert {url: n for url, n in costs.items() if n > 15} == {}


def test_a_story_whose_related_rows_are_gone_is_told(staff: Client) -> None:
    gone = new_uid(int(NOW.timestamp() * 1000))
    account = factories.AccountFactory()
    bare = [
        factories.ConversionFactory(account=None, request_uid=gone, verdict="unknown_click"),
        factories.ConversionFactory(request_uid=gone, item=1, kind="conversion", key=b"k" * 32, payout=None, verdict="recorded"),
        factories.ParkedReportFactory(account=None, request_uid=gone, report=b"\xff not json"),
        factories.ReplyFactory(sending_list=None, message=None, request_uid=gone),
        factories.DeliveryEventFactory(request_uid=gone),
        factories.MessageFactory(sending_list=None, provider_account=factories.ProviderAccountFactory(), status_at=None),
        factories.SuppressionFactory(request_uid=None),
        factories.SubscriptionChangeFactory(request_uid=None),
        factories.InboundRequestFactory(account=None, party_id=987654, state="refused", refusal="bad_secret"),
        factories.InboundRequestFactory(account_id=987654, party_id=987654, source="postback", slug="gone", ids=["x"]),
        factories.LinkFactory(offer=None, destination="https://example.com/{click_id}", account=account),
        factories.OfferFactory(connection=None, account=account),
        factories.AuditEntryFactory(user=None, account=None, target=""),
        factories.ClickFactory(offer=None, message=None, sending_list=None),
    ]  # fmt: skip
    for row in bare:
        assert staff.get(change_url(row)).status_code == 200, repr(row)
        assert staff.get(page(type(row), "changelist")).status_code == 200, repr(row)


def test_a_request_that_has_expired_is_said_to_be_gone(staff: Client) -> None:
    event = factories.DeliveryEventFactory()
    answer = staff.get(page(InboundRequest, "change", event.request_uid), follow=True)
    assert answer.status_code in (200, 404)
    assert str(event.request_uid) in answer.text


def test_a_request_of_one_account_does_not_show_messages_of_another() -> None:
    message = factories.MessageFactory(provider_message_id="m1")
    other = factories.AccountFactory()
    story = asked(account=other, party_id=message.provider_account_id, ids=["m1", message.reference], state="done")
    assert not any(table.title == "Messages it speaks of" for table in story.tables)
