"""The admin's index says what the tables say: real traffic comes in, is worked off, and is read back from the page."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from postbacks import clicks
from tests import factories
from tests.webhooks.calls import BASE, call, events, reply, report, tell, token_url
from trackly.models import HourlyTotal, WorkerRun
from trackly.support.health import Trouble, health_of
from trackly.support.overview import overview
from webhooks.inbound.models import InboundRequest, RequestTotal

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>\u202eevil"
INDEX = "/admin/"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def words_of(html: str) -> str:
    """What a reader reads: no tags, one space between words; titles of bars are not read."""
    text = re.sub(r"<title>.*?</title>|<script.*?</script>|<style.*?</style>", " ", html, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def index(client: Client, query: str = "") -> str:
    answer = client.get(INDEX + query)
    assert answer.status_code == 200
    return answer.text


def card(html: str, title: str) -> str:
    """The words of one card, without its title."""
    found = re.search(rf'<article class="ov-card[^>]*>\s*<h2>{title}</h2>(.*?)</article>', html, re.S)
    assert found, title
    return words_of(found[1].partition('<div class="ov-picture">')[0])


def callers(html: str) -> list[tuple[str, str]]:
    """(trouble, words) of each row of who calls us, in order."""
    rows = re.findall(r'<li class="ov-caller" data-trouble="(\w+)">(.*?)</li>', html, re.S)
    return [(trouble, words_of(row)) for trouble, row in rows]


def called(party: Any, *hours_ago: float, standing: str = "accepted", n: int = 1, source: str = "") -> None:
    """Totals as if `n` requests of the party had come so many hours ago."""
    for ago in hours_ago:
        at = datetime.now(UTC) - timedelta(hours=ago)
        RequestTotal.objects.create(
            hour=at.replace(minute=0, second=0, microsecond=0),
            source=source or ("webhook" if hasattr(party, "provider") else "postback"),
            slug=getattr(party, "provider", "") or party.network,
            account_id=party.account_id,
            party_id=party.pk,
            standing=standing,
            n=n,
            last_at=at,
        )


def parts(html: str, tone: str) -> int:
    return html.count(f'class="ov-{tone}"')


# --- the cards


def test_requests_are_told_by_how_they_stand(staff: Client, work_off: Callable[[], int]) -> None:
    party = factories.ProviderAccountFactory()
    for n in range(3):
        tell(party, report(f"m-{n}"))
    assert call(f"{BASE}/{party.provider}/{'x' * 26}", events(report("m-1"))).status == 403
    assert call(f"{BASE}/{party.provider}?account={party.account.public_id}", events(report("m-1"))).status == 403
    work_off()
    html = index(staff)
    assert card(html, "Requests accepted") == "3 60.0 % of all requests"
    assert card(html, "Refused").startswith("2 1 ")
    assert "1 wrong or withdrawn token in the URL" in card(html, "Refused")
    assert "1 signature or credentials do not match" in card(html, "Refused")


def test_a_request_nobody_worked_off_yet_is_waiting_and_not_accepted(staff: Client) -> None:
    tell(factories.ProviderAccountFactory(), report("m-1"))
    html = index(staff)
    assert card(html, "Requests accepted").startswith("0 ")
    assert "Everything that came is worked off" not in card(html, "Oldest waiting")


def test_each_cause_leads_to_its_requests(staff: Client) -> None:
    party = factories.ProviderAccountFactory()
    call(f"{BASE}/{party.provider}/{'x' * 26}", events(report("m-1")))
    call(f"{BASE}/{party.provider}?account={party.account.public_id}", events(report("m-2")))
    url = re.search(r'href="([^"]*refusal__exact=bad_signature[^"]*)"', index(staff))
    assert url
    log = staff.get(unescape(url[1]))
    assert log.status_code == 200
    shown = {row.refusal for row in log.context["cl"].result_list}
    assert shown == {"bad_signature"}


def test_failed_requests_wait_for_somebody_until_they_are_dealt_with(staff: Client) -> None:
    assert "Nothing waits for a replay" in card(index(staff), "Failed, waiting for somebody")
    for state in ("failed", "failed", "refused", "discarded"):
        factories.InboundRequestFactory(state=state)
    html = index(staff)
    assert card(html, "Failed, waiting for somebody").startswith("2 Look at them, and replay")
    url = re.search(r'href="([^"]*state__exact=failed)"', html)
    assert url
    assert len(staff.get(url[1]).context["cl"].result_list) == 2
    InboundRequest.objects.filter(state="failed").update(state="done")
    assert card(index(staff), "Failed, waiting for somebody").startswith("0 ")


def test_more_failed_ones_than_are_looked_through_are_told_as_more(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackly.support.overview.LOOKED_THROUGH", 2)
    for _ in range(3):
        factories.InboundRequestFactory(state="failed")
    assert card(index(staff), "Failed, waiting for somebody").startswith("2+ ")


def test_the_delivered_rate_is_of_messages_with_a_final_status(staff: Client, work_off: Callable[[], int]) -> None:
    assert card(index(staff), "Delivered").startswith("– No message")
    line = factories.SendingListFactory()
    said = ["delivered", "delivered", "read", "failed", "sent"]
    messages = [factories.MessageFactory(sending_list=line) for _ in said]
    factories.MessageFactory(sending_list=line)
    # Test messages stand in no total.
    messages.append(factories.MessageFactory(sending_list=line, is_test=True))
    tell(
        line.provider_account,
        *(report(row.reference, word) for row, word in zip(messages, [*said, "failed"], strict=True)),
    )
    work_off()
    text = card(index(staff), "Delivered")
    assert text == "75.0 % 3 of 4 messages with a final status 25.0 % failed (1) 1 reported, still on the way"


def test_a_late_report_moves_a_message_from_failed_to_delivered(staff: Client, work_off: Callable[[], int]) -> None:
    message = factories.MessageFactory()
    tell(message.provider_account, report(message.reference, "expired"))
    work_off()
    assert card(index(staff), "Delivered").startswith("0.0 % 0 of 1")
    tell(message.provider_account, report(message.reference, "delivered"))
    work_off()
    assert card(index(staff), "Delivered").startswith("100.0 % 1 of 1")


def test_money_of_two_currencies_and_of_two_proofs_is_never_added(
    staff: Client, client: Client, work_off: Callable[[], int]
) -> None:
    usd, eur = factories.NetworkConnectionFactory(), factories.NetworkConnectionFactory(currency="EUR")
    for connection, payouts in ((usd, ("10", "2.50")), (eur, ("7",))):
        offer = factories.OfferFactory(connection=connection)
        for payout in payouts:
            click = factories.ClickFactory(link=factories.LinkFactory(offer=offer))
            url = f"/api/postbacks/{connection.network}/{connection.postback_token}"
            assert client.get(f"{url}?click_id={click.click_id}&payout={payout}").status_code == 200
    click = factories.ClickFactory(link=factories.LinkFactory(offer=factories.OfferFactory(connection=usd)))
    client.get(f"/api/postbacks/{usd.network}?click_id={click.click_id}&payout=3")
    work_off()
    html = index(staff)
    assert card(html, "Conversions") == "3 Verified: 7.00 EUR, 12.50 USD 1 unverified: 3.00 USD"
    # How they were judged stands beside their connection.
    ((_, row),) = [entry for entry in callers(html) if usd.name in entry[1]]
    assert "2 accepted" in row
    assert "judged: 3 recorded" in row


def test_bots_are_not_people(staff: Client, client: Client) -> None:
    link = factories.LinkFactory()
    browser = {"HTTP_USER_AGENT": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1"}
    for agent in (browser, browser, {"HTTP_USER_AGENT": "curl/8.5.0"}):
        assert client.get(f"/c/{link.code}", **agent).status_code == 302
    clicks.tally()
    assert card(index(staff), "Clicks").startswith("2 by people; 1 more by bots")


def test_totals_older_than_a_day_are_left_out(staff: Client) -> None:
    party = factories.ProviderAccountFactory()
    called(party, 24.5, n=7)
    factories.HourlyTotalFactory(hour=datetime.now(UTC) - timedelta(hours=25), kind="message_delivered", n=7)
    html = index(staff)
    assert card(html, "Requests accepted") == "0 None yet"
    assert card(html, "Delivered").startswith("–")
    # Who calls us looks 48 hours back.
    assert "7 accepted" in callers(html)[0][1]


def test_every_hour_stands_in_the_table_beside_the_pictures(staff: Client) -> None:
    party = factories.ProviderAccountFactory()
    called(party, 5, n=7)
    called(party, 5, standing="unproven", n=2)
    at = datetime.now(UTC) - timedelta(hours=5)
    html = index(staff)
    row = re.search(rf"<tr><td>{at:%b %d, %H}:00 UTC</td>(.*?)</tr>", html, re.S)
    assert row
    assert words_of(row[1]).startswith("7 accepted 2 nothing proves who sent it –")
    assert html.count(f"<title>{at:%b %d, %H}:00 UTC: 7 accepted</title>") == 1


# --- the worker


def test_without_a_worker_the_page_says_so_and_what_to_do(staff: Client) -> None:
    text = card(index(staff), "Oldest waiting")
    assert "No worker ever ran here" in text
    assert "python manage.py work" in text


def test_a_living_worker_is_no_alarm(staff: Client) -> None:
    factories.WorkerRunFactory(ended_at=factories.now(), ended_cleanly=True)
    factories.WorkerRunFactory(beat_at=factories.now() - timedelta(seconds=5))
    html = index(staff)
    assert "ov-card-alarm" not in html
    assert "a worker was heard of 5 s ago" in card(html, "Oldest waiting")


def test_a_worker_that_is_not_heard_of_is_an_alarm(staff: Client) -> None:
    run = factories.WorkerRunFactory(beat_at=factories.now() - timedelta(seconds=90))
    html = index(staff)
    assert "not heard of for 1 min 30 s" in card(html, "Oldest waiting")
    assert "ov-card-alarm" in html
    WorkerRun.objects.filter(pk=run.pk).update(ended_at=factories.now(), ended_cleanly=True)
    assert "No worker runs since" in card(index(staff), "Oldest waiting")


def test_what_waits_for_long_means_the_worker_is_behind(staff: Client) -> None:
    factories.WorkerRunFactory()
    factories.InboundRequestFactory(due_at=factories.now() - timedelta(minutes=5))
    text = card(index(staff), "Oldest waiting")
    assert text.startswith("5 min")
    assert "The worker is behind" in text


def test_while_the_worker_is_behind_nobody_is_called_silent_for_sure(staff: Client) -> None:
    called(factories.ProviderAccountFactory(), *range(26, 100))
    caution = "who looks silent here may have called"
    assert caution in index(staff)
    factories.WorkerRunFactory()
    assert caution not in index(staff)


# --- who calls us


def test_who_is_silent_for_longer_than_usual_stands_first(staff: Client) -> None:
    silent, steady, rare = (factories.ProviderAccountFactory(name=name) for name in ("Silent", "Steady", "Rare"))
    called(silent, *range(26, 100))
    called(steady, 0, *range(1, 100))
    # Calls every second day: half a day without is nothing.
    called(rare, 12, *range(60, 100))
    rows = callers(index(staff))
    assert [(trouble, name) for trouble, row in rows for name in [row.split()[0]]] == [
        ("SILENT", "Silent"),
        ("NONE", "Steady"),
        ("NONE", "Rare"),
    ]
    assert "Silent for 1 d 2 h" in rows[0][1]


def test_who_was_refused_since_its_token_changed_stands_before_the_others(staff: Client) -> None:
    party, other = factories.ProviderAccountFactory(), factories.ProviderAccountFactory()
    called(other, 0)
    called(party, 5, 6)
    called(party, 2, 3, standing="bad_signature", n=6)
    (trouble, row), _ = callers(index(staff))
    since = datetime.now(UTC) - timedelta(hours=3)
    assert trouble == "REFUSED"
    assert f"All 12 requests since {since:%b %d, %H}:00 UTC were refused: signature or credentials do not match." in row


def test_who_was_refused_and_then_gave_up_is_told_both(staff: Client) -> None:
    party = factories.ProviderAccountFactory()
    called(party, *range(10, 100))
    called(party, 8, 9, standing="bad_secret", n=3)
    ((trouble, row),) = callers(index(staff))
    assert trouble == "SILENT"
    assert "Silent for 8 h" in row
    assert "All 6 requests since" in row


def test_the_refused_requests_of_a_party_are_one_click_away(staff: Client) -> None:
    party, other = factories.ProviderAccountFactory(), factories.ProviderAccountFactory()
    for whose in (party, other):
        call(f"{BASE}/{whose.provider}?account={whose.account.public_id}", events(report("m")))
    row = next(part for part in index(staff).split('<li class="ov-caller"') if f">{party.name}<" in part)
    assert "The only request since" in words_of(row)
    url = re.search(r'href="([^"]*party_id=\d+)"', row)
    assert url
    log = staff.get(unescape(url[1]))
    assert [found.party_id for found in log.context["cl"].result_list] == [party.pk]


def test_a_refusal_before_the_last_accepted_request_is_no_alarm(staff: Client) -> None:
    party = factories.ProviderAccountFactory()
    called(party, 2, standing="bad_secret", n=5)
    called(party, 1)
    ((trouble, row),) = callers(index(staff))
    assert trouble == "NONE"
    assert "5 wrong or withdrawn token in the URL" in row


def test_within_one_hour_most_decides(staff: Client) -> None:
    good, bad = factories.ProviderAccountFactory(name="Good"), factories.ProviderAccountFactory(name="Bad")
    for party, refused in ((good, 1), (bad, 9)):
        called(party, 0, n=3)
        called(party, 0, standing="bad_secret", n=refused)
    (first, row), (second, _) = callers(index(staff))
    assert (first, second) == ("REFUSED", "NONE")
    assert "Bad" in row
    assert "9 of 12 requests since" in row


def test_who_should_call_and_never_did_is_named(staff: Client) -> None:
    factories.SendingListFactory(provider_account=factories.ProviderAccountFactory(name="Used"))
    factories.ProviderAccountFactory(name="Unused")
    factories.OfferFactory(connection=factories.NetworkConnectionFactory(name="Offered"))
    rows = {row.split()[0]: (trouble, row) for trouble, row in callers(index(staff))}
    assert {name: trouble for name, (trouble, _) in rows.items()} == {
        "Used": "NEVER",
        "Offered": "NEVER",
        "Unused": "NONE",
    }
    assert "Never called yet. Register the URL shown on its page." in rows["Used"][1]


def test_a_connection_named_only_on_the_bare_url_was_not_never_heard_of(
    staff: Client, client: Client, work_off: Callable[[], int]
) -> None:
    click = factories.ClickFactory()
    client.get(f"/api/postbacks/tune?click_id={click.click_id}&payout=3")
    work_off()
    rows = callers(index(staff))
    assert {trouble for trouble, _ in rows} == {"NONE"}
    assert any(
        "Its own URL was never called; hits on the URL without the token were counted to it." in row for _, row in rows
    )
    assert any(row.startswith("Names none of ours") and "1 accepted" in row for _, row in rows)


def test_strangers_have_a_row_a_provider_and_no_alarm(staff: Client) -> None:
    for _ in range(3):
        call(f"{BASE}/sandbox/{'x' * 26}", events(report("m")))
    ((trouble, row),) = callers(index(staff))
    assert trouble == "NONE"
    assert row.startswith("Names none of ours")
    assert "3 wrong or withdrawn token in the URL" in row


def test_a_deleted_account_is_not_missed(staff: Client) -> None:
    party = factories.ProviderAccountFactory(account=factories.AccountFactory(status="deleted"))
    called(party, *range(26, 100))
    assert callers(index(staff)) == []


def test_long_lists_are_cut_and_shown_on_demand(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackly.support.overview.ROWS", 2)
    for _ in range(3):
        called(factories.ProviderAccountFactory(), 0)
    html = index(staff)
    assert len(callers(html)) == 2
    assert "These are 2 of 3. Show all" in words_of(html)
    assert len(callers(index(staff, "?all=1"))) == 3


def test_the_last_request_of_a_row_is_the_newest_that_came(staff: Client, work_off: Callable[[], int]) -> None:
    party = factories.ProviderAccountFactory()
    tell(party, report("m-1"))
    tell(party, reply("hello"))
    work_off()
    newest = InboundRequest.objects.order_by("-received_at").first()
    assert newest is not None
    ((_, row),) = callers(index(staff))
    assert f"{newest.received_at:%Y-%m-%d %H:%M:%S}" in row
    assert "2 accepted" in row


# --- who may see what, and what strangers write


def test_a_fresh_installation_says_what_to_do_first(staff: Client) -> None:
    html = index(staff)
    assert "Nobody can call us yet" in html
    for page in ("trackly_account", "sendinglists_provideraccount", "postbacks_networkconnection"):
        assert reverse(f"admin:{page}_add") in html
    factories.ProviderAccountFactory()
    assert "Nobody can call us yet" not in index(staff)


def test_without_the_permission_there_is_a_sentence_and_nothing_else(client: Client) -> None:
    called(factories.ProviderAccountFactory(name="Secret party"), 0)
    client.force_login(factories.UserFactory(is_staff=True))
    html = index(client)
    assert "Can view raw request" in html
    assert "Secret party" not in html
    assert "ov-card" not in html


def test_a_card_is_shown_to_who_may_see_its_table(client: Client) -> None:
    party, connection = (
        factories.ProviderAccountFactory(name="Provider X"),
        factories.NetworkConnectionFactory(name="Network X"),
    )
    called(party, 0, standing="bad_signature")
    called(connection, 0)
    person = factories.UserFactory(is_staff=True)
    allowed = ["view_inboundrequest", "view_message", "view_provideraccount"]
    person.user_permissions.set(Permission.objects.filter(codename__in=allowed))
    client.force_login(person)
    html = index(client)
    titles = re.findall(r"<h2>([^<]+)</h2>", html)
    assert titles == ["Requests accepted", "Refused", "Failed, waiting for somebody", "Oldest waiting", "Delivered"]
    assert "Provider X" in html
    assert "Network X" not in html
    # It may not open the log of failures.
    assert reverse("admin:webhooks_failedwebhook_changelist") not in html


def test_hostile_names_are_shown_as_text(staff: Client) -> None:
    account = factories.AccountFactory(name=HOSTILE)
    called(factories.ProviderAccountFactory(name=HOSTILE, account=account), 0)
    called(factories.NetworkConnectionFactory(name=HOSTILE, account=account), 0)
    html = index(staff)
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;‹U+202E›evil") == 4
    assert "<script>alert" not in html
    assert "\u202e" not in html


def test_more_parties_cost_no_more_queries(staff: Client, django_assert_max_num_queries: Any) -> None:
    for ago in (0, 30):
        for factory in (factories.ProviderAccountFactory, factories.NetworkConnectionFactory):
            for _ in range(5):
                called(factory(), *range(ago, 100))
    with django_assert_max_num_queries(15):
        index(staff)
    person = factories.UserFactory(is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    other = Client()
    other.force_login(person)
    with django_assert_max_num_queries(15):
        assert len(callers(index(other))) == 20


# --- one party, for its own page


def test_the_health_of_one_party_is_that_of_its_row(staff: Client) -> None:
    party, other = factories.ProviderAccountFactory(), factories.ProviderAccountFactory()
    called(other, 0, n=100)
    called(party, 5, n=3)
    called(party, 2, standing="bad_secret", n=4)
    health = health_of("webhook", party.pk)
    assert health is not None
    assert health.trouble == Trouble.REFUSED
    assert dict(health.counts) == {"accepted": 3, "bad_secret": 4}
    assert [words for _, words in health.busy_hours] == ["4 wrong or withdrawn token in the URL", "3 accepted"]
    assert len(health.hours) == 48
    assert parts(health.chart, "good") == 1
    assert parts(health.chart, "bad") == 1
    assert health_of("webhook", 0) is None
    assert health_of("postback", party.pk) is None


def test_provider_account_and_connection_of_one_id_are_told_apart() -> None:
    party = factories.ProviderAccountFactory()
    connection = factories.NetworkConnectionFactory(id=party.pk)
    called(party, 0, n=3)
    called(connection, 0, n=5)
    found = [health_of(source, party.pk) for source in ("webhook", "postback")]
    assert [health.counts["accepted"] for health in found if health] == [3, 5]


def test_the_overview_is_that_of_the_moment_it_is_asked_for(rf: Any) -> None:
    request = rf.get(INDEX)
    request.user = factories.StaffFactory()
    party = factories.ProviderAccountFactory()
    called(party, 0)
    later = overview(request, now=datetime.now(UTC) + timedelta(hours=47))
    assert later.callers[0].counts == {"accepted": 1}
    assert later.cards[0].figure == "0"
    assert overview(request, now=datetime.now(UTC) + timedelta(hours=48)).callers[0].counts == {}


def test_a_total_that_fell_back_to_nothing_is_nothing(staff: Client) -> None:
    hour = factories.now().replace(minute=0, second=0, microsecond=0)
    HourlyTotal.objects.create(account=factories.AccountFactory(), hour=hour, kind="message_delivered", n=0)
    called(factories.ProviderAccountFactory(), 1, n=0, standing="bad_secret")
    html = index(staff)
    assert card(html, "Delivered").startswith("–")
    assert card(html, "Refused") == "0 Nothing was refused"


def test_the_callback_url_of_a_party_is_not_on_the_page(staff: Client) -> None:
    party = factories.ProviderAccountFactory()
    tell(party, report("m"))
    assert party.callback_token not in index(staff)
    assert token_url(party) not in index(staff)
