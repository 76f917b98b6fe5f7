"""What the overview tells an owner: first steps, what needs attention, health; and what it costs to tell."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.utils import timezone

from postbacks.models import NetworkConnection
from sendinglists.models import ProviderAccount, SendingList
from tests import factories
from tests.pages.conftest import Person
from trackly.models import Account, HourlyTotal, WorkerRun
from webhooks.inbound.models import RequestTotal

pytestmark = pytest.mark.django_db
WebhookState = ProviderAccount.WebhookState


@pytest.fixture(autouse=True)
def _house(settings: Any, db: None) -> None:
    """A service in order: its address is known and its worker alive."""
    settings.PUBLIC_BASE_URL = "https://hooks.example.com"
    factories.WorkerRunFactory()


@pytest.fixture
def party(account: Account) -> ProviderAccount:
    return factories.ProviderAccountFactory(
        account=account, name="Main keys", webhook_state=WebhookState.CONFIGURED, webhook_state_at=timezone.now()
    )


@pytest.fixture
def line(party: ProviderAccount) -> SendingList:
    return factories.SendingListFactory(provider_account=party, name="Spring list")


@pytest.fixture
def network(account: Account) -> NetworkConnection:
    return factories.NetworkConnectionFactory(account=account, name="Big network")


def words_of(html: str) -> str:
    text = re.sub(r"<script.*?</script>|<style.*?</style>", " ", html, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def seen(person: Person, **query: str) -> str:
    answer = person.get("overview", **query)
    assert answer.status_code == 200
    return answer.content.decode()


def needs(person: Person) -> list[tuple[str, str]]:
    """(urgency, sentence) of each, in order."""
    found = re.findall(r'<li class="tk-need-(\w+)">.*?<p>(.*?)</p>', seen(person), re.S)
    return [(tone, words_of(said)) for tone, said in found]


def health(person: Person) -> dict[str, tuple[str, str]]:
    """Name -> (word, sentence), the worst first."""
    table = seen(person).partition("tk-health")[2]
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", table.partition("<tbody>")[2], re.S):
        name, *cells = (words_of(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S))
        found[name] = (cells[1], cells[2])
    return found


def called(row: Any, *hours_ago: float, standing: str = "accepted", n: int = 1, party_id: int | None = None) -> None:
    for ago in hours_ago:
        at = datetime.now(UTC) - timedelta(hours=ago)
        RequestTotal.objects.create(
            hour=at.replace(minute=0, second=0, microsecond=0),
            source="webhook" if isinstance(row, ProviderAccount) else "postback",
            slug=row.provider if isinstance(row, ProviderAccount) else row.network,
            account_id=row.account_id,
            party_id=row.pk if party_id is None else party_id,
            standing=standing,
            n=n,
            last_at=at,
        )


def counted(row: SendingList, kind: str, n: int, **ago: float) -> None:
    at = datetime.now(UTC) - timedelta(**ago)
    HourlyTotal.objects.create(
        account=row.account, hour=at.replace(minute=0, second=0, microsecond=0), kind=kind, list_id=row.pk, n=n
    )


# --- an empty account


def test_an_empty_account_sees_first_steps_and_zeros(owner: Person) -> None:
    html = seen(owner)
    assert "0 of 6 done" in words_of(html)
    assert "<canvas" not in html
    assert "No message was made in these 24 hours." in html
    assert "Nothing needs you." in html


def test_first_steps_are_ticked_off_and_gone_when_all_are_done(owner: Person, line: SendingList) -> None:
    assert "2 of 6 done" in words_of(seen(owner))
    factories.MessageFactory(sending_list=line, is_test=True, status="delivered")
    offer = factories.OfferFactory(connection=factories.NetworkConnectionFactory(account=owner.account))
    factories.LinkFactory(offer=offer)
    assert "5 of 6 done" in words_of(seen(owner))
    factories.ConversionFactory(account=owner.account, is_test=True)
    assert "First steps" not in seen(owner)


def test_another_accounts_doings_tick_nothing_off(owner: Person, other: Account) -> None:
    theirs = factories.SendingListFactory(provider_account=factories.ProviderAccountFactory(account=other))
    factories.MessageFactory(sending_list=theirs, is_test=True, status="delivered")
    assert "0 of 6 done" in words_of(seen(owner))


# --- figures on the page


def test_figures_stand_with_rates_and_changes(owner: Person, line: SendingList) -> None:
    counted(line, "message", 210)
    counted(line, "message_delivered", 190)
    counted(line, "message_failed", 10)
    for hours in (2, 50):
        counted(line, "reply", 20 if hours == 2 else 0, hours=hours)
    counted(line, "reply", 10, hours=26)
    words = words_of(seen(owner))
    assert "Sent 200" in words
    assert "10 waiting to be sent" in words
    assert "95.0 % of sent" in words
    assert "5.0 % of sent" in words
    assert "+100 % on the 24 hours before" in words


def test_a_change_on_a_tiny_base_is_not_told(owner: Person, line: SendingList) -> None:
    counted(line, "reply", 9, hours=26)
    counted(line, "reply", 30, hours=2)
    assert "hours before" not in re.findall(r"Replies.*?</div>", seen(owner), re.S)[0]


def test_the_span_is_kept_by_the_address(owner: Person, line: SendingList) -> None:
    counted(line, "message_delivered", 42, days=20)
    assert "Sent 42" not in words_of(seen(owner, span="7d"))
    html = seen(owner, span="30d")
    assert "Sent 42" in words_of(html)
    assert 'aria-current="true">30 days' in html
    assert f'{owner.url("overview")}?span=30d">Reload' in html


def test_every_chart_has_its_numbers_in_a_table_and_names_the_zone(owner: Person, line: SendingList) -> None:
    Account.objects.filter(pk=owner.account.pk).update(time_zone="America/New_York")
    counted(line, "message_delivered", 1234)
    counted(line, "click", 56)
    html = seen(owner, span="7d")
    assert html.count("<canvas") == html.count("<caption>") == 2
    assert '<td class="tk-number">1,234</td>' in html
    assert "By the day, in America/New_York" in html


def test_money_is_told_by_currency_and_together_only_where_rates_are_known(
    owner: Person, network: NetworkConnection
) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for kind, currency, amount in (
        ("conversion", "EUR", 100), ("conversion", "USD", 50), ("conversion_pending", "EUR", 7),
        ("conversion_unverified", "USD", 3),
    ):  # fmt: skip
        HourlyTotal.objects.create(
            account=owner.account, hour=hour, kind=kind, currency=currency, n=1, amount=amount, connection_id=network.pk
        )
    words = words_of(seen(owner))
    assert "100.00 EUR 7.00 EUR pending 50.00 USD 3.00 USD without the token" in words
    assert "Not added up: a rate to USD is missing" in words
    factories.ExchangeRateFactory(account=owner.account, currency="EUR", rate=Decimal("1.5"), valid_from="2020-01-01")
    assert "Together 200.00 USD, each day at its own rate" in words_of(seen(owner))


# --- health


def test_who_works_is_called_working(owner: Person, line: SendingList) -> None:
    called(line.provider_account, 0.1)
    counted(line, "message_delivered", 100)
    word, said = health(owner)["Spring list"]
    assert word == "Working"
    assert "100.0 % delivered of 100 messages" in said


def test_who_is_quiet_for_longer_than_usual_is_called_silent(owner: Person, network: NetworkConnection) -> None:
    called(network, *range(30, 60))
    word, said = health(owner)["Big network"]
    assert word == "Silent"
    assert "before, no hour passed without a call" in said


def test_nobody_is_called_silent_while_no_worker_reads_what_came(owner: Person, network: NetworkConnection) -> None:
    WorkerRun.objects.update(beat_at=timezone.now() - timedelta(hours=2))
    called(network, *range(30, 60))
    assert health(owner)["Big network"][0] == "Working"


def test_refused_at_last_stands_above_what_works(owner: Person, line: SendingList, network: NetworkConnection) -> None:
    called(line.provider_account, 0.1)
    called(network, 3, n=2)
    called(network, 1, standing="bad_secret", n=4)
    found = health(owner)
    assert list(found) == ["Big network", "Spring list"]
    assert found["Big network"] == (
        "Refused", "4 of 6 postbacks of the last 24 hours refused, wrong or withdrawn token in the URL.",
    )  # fmt: skip


def test_what_was_let_in_since_is_not_called_refused(owner: Person, network: NetworkConnection) -> None:
    called(network, 3, standing="bad_secret", n=4)
    called(network, 1)
    assert health(owner)["Big network"][0] == "Working"


def test_many_failures_of_a_list_are_told(owner: Person, line: SendingList) -> None:
    called(line.provider_account, 0.1)
    counted(line, "message_delivered", 90)
    counted(line, "message_failed", 10)
    word, said = health(owner)["Spring list"]
    assert word == "Many fail"
    assert "10.0 % of its messages failed (10 of 100)" in said


# --- what needs attention


def test_a_dead_worker_is_the_first_need_and_says_that_nothing_is_lost(owner: Person, party: ProviderAccount) -> None:
    WorkerRun.objects.update(beat_at=timezone.now() - timedelta(hours=2))
    ProviderAccount.objects.update(webhook_state=WebhookState.FAILED, webhook_state_cause="It said no.")
    (first, said), (_, second), *_ = needs(owner)
    assert first == "bad"
    assert "it waits and is not lost" in said
    assert second == "Main keys: its webhooks could not be configured. It said no."


def test_without_a_public_address_every_url_is_wrong(owner: Person, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = ""
    assert needs(owner)[0][1].startswith("PUBLIC_BASE_URL is not set")


@pytest.mark.parametrize(
    ("base", "tone"),
    [
        ("http://127.0.0.1:8000", "note"),
        ("http://localhost:8000", "note"),
        ("http://[::1]:8000", "note"),
        ("http://hooks.example.com", "bad"),
        ("http://localhost.example.com", "bad"),
    ],
)
def test_an_address_without_https_is_urgent_unless_it_is_ones_own_machine(
    owner: Person, settings: Any, base: str, tone: str
) -> None:
    settings.PUBLIC_BASE_URL = base
    assert [found for found, said in needs(owner) if said.startswith(f"The public address is {base}")] == [tone]


def test_credentials_that_are_refused_or_wait_for_a_hand_are_needs(owner: Person, party: ProviderAccount) -> None:
    ProviderAccount.objects.update(check_cause="The key was withdrawn.", webhook_state=WebhookState.BY_HAND)
    assert ("bad", "Main keys: The credentials: The key was withdrawn.") in needs(owner)
    assert any(tone == "wait" and "by hand" in said for tone, said in needs(owner))


def test_what_was_refused_is_told_by_party_and_cause(owner: Person, party: ProviderAccount, other: Account) -> None:
    called(party, 2, 3, standing="bad_signature", n=2)
    called(party, 30, standing="unproven")
    called(factories.ProviderAccountFactory(account=other, name="Theirs"), 2, standing="bad_signature")
    refused = [said for _, said in needs(owner) if "refused" in said]
    assert refused == [
        "Main keys: 4 callbacks of the last 24 hours were refused: signature or credentials do not match."
    ]


def test_what_named_only_the_account_is_told_too(owner: Person, party: ProviderAccount, other: Account) -> None:
    called(party, 2, standing="bad_secret", n=3, party_id=0)
    called(factories.ProviderAccountFactory(account=other), 2, standing="bad_secret", n=40, party_id=0)
    assert any(said.startswith("3 callbacks of the last 24 hours named this account") for _, said in needs(owner))


def test_what_failed_waits_for_a_replay(owner: Person, network: NetworkConnection) -> None:
    called(network, 200, standing="failed", n=2)
    assert ("bad", "2 webhooks of the last 30 days could not be worked off, and wait for a replay.") in needs(owner)


def test_messages_in_a_paused_list_are_told(owner: Person, line: SendingList) -> None:
    SendingList.objects.update(status="paused")
    assert not [said for _, said in needs(owner) if "Spring list" in said]
    factories.MessageFactory(sending_list=line, due_at=timezone.now())
    assert ("wait", "Spring list is paused, and 1 message in it waits to be sent.") in needs(owner)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("held", "2 postbacks held for you, 7.50 USD at stake: accept or reject."),
        ("unknown_click", "2 postbacks no click was found for, 7.50 USD at stake."),
        ("status_unmapped", "2 postbacks with a status word that nobody explained, 7.50 USD at stake."),
        ("literal_macro", "2 postbacks in which the network did not replace a macro, 7.50 USD at stake: the postback URL there"
         " is wrong."),
    ],
)  # fmt: skip
def test_postbacks_that_do_not_count_are_told_with_their_money(
    owner: Person, other: Account, verdict: str, words: str
) -> None:
    common = {"verdict": verdict, "reported_payout": Decimal("3.75"), "currency": "USD"}
    now = timezone.now()
    for account, ago in ((owner.account, 2), (owner.account, 30), (owner.account, 24 * 8), (other, 2)):
        factories.ConversionFactory(account=account, received_at=now - timedelta(hours=ago), **common)
    factories.ConversionFactory(account=owner.account, received_at=now - timedelta(hours=2), is_test=True, **common)
    assert words in [said for _, said in needs(owner)]


def test_a_click_may_still_come_within_the_hour(owner: Person) -> None:
    factories.ConversionFactory(account=owner.account, verdict="unknown_click", received_at=timezone.now())
    assert needs(owner) == []


@pytest.mark.parametrize(("n", "is_told"), [(19, False), (29, False), (30, True)])
def test_many_opt_outs_are_told(owner: Person, line: SendingList, n: int, is_told: bool) -> None:
    counted(line, "message_delivered", 1000)
    counted(line, "opt_out", n)
    assert any("opted out" in said for _, said in needs(owner)) == is_told


def test_twice_the_usual_opt_outs_are_told(owner: Person, line: SendingList) -> None:
    for kind, n, days in (
        ("message_delivered", 2000, 0),
        ("opt_out", 24, 0),
        ("message_delivered", 2000, 1),
        ("opt_out", 8, 1),
    ):
        counted(line, kind, n, days=days, hours=1)
    (said,) = [said for _, said in needs(owner) if "opted out" in said]
    assert "24, 1.2 % of what was sent" in said
    assert "before it was 0.4 %" in said


def test_the_sandbox_alone_reaches_nobody(owner: Person, party: ProviderAccount) -> None:
    assert any(tone == "note" and "Only the sandbox" in said for tone, said in needs(owner))


def test_a_hostile_name_does_nothing(owner: Person, line: SendingList) -> None:
    SendingList.objects.update(name="<script>alert(1)</script>\u202eevil", status="paused")
    factories.MessageFactory(sending_list=line, due_at=timezone.now())
    html = seen(owner)
    assert "<script>alert" not in html
    assert "\u202e" not in html


def test_a_viewer_sees_it_all(viewer: Person, line: SendingList) -> None:
    assert "Spring list" in seen(viewer)


def test_every_way_from_here_leads_to_a_page_that_understands_what_it_is_asked(
    owner: Person, line: SendingList, network: NetworkConnection
) -> None:
    for row in (line.provider_account, network):
        called(row, 2, standing="bad_secret")
        called(row, 3, standing="failed")
        called(row, 2, standing="unproven", party_id=0)
    SendingList.objects.update(status="paused")
    factories.MessageFactory(sending_list=line, due_at=timezone.now())
    for verdict in ("held", "unknown_click", "status_unmapped", "literal_macro"):
        received_at = timezone.now() - timedelta(hours=2)
        factories.ConversionFactory(account=owner.account, verdict=verdict, received_at=received_at)
    counted(line, "message_delivered", 100)
    counted(line, "opt_out", 30)
    links = re.findall(r'<(?:li class="tk-need.*?|h3 class="tk-figure-name">)<a [^>]*href="([^"]+)"', seen(owner), re.S)
    ways = {unescape(link) for link in links}
    assert len(ways) >= 14
    for way in sorted(ways):
        answer = owner.client.get(way, follow=True)
        assert answer.status_code == 200, way
        assert "tk-error" not in answer.content.decode(), way


# --- what it costs


def test_many_lists_and_connections_cost_no_more_queries(
    owner: Person, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for _ in range(12):
        party = factories.ProviderAccountFactory(account=owner.account)
        line = factories.SendingListFactory(provider_account=party, status="paused")
        factories.MessageFactory(sending_list=line, due_at=timezone.now())
        network = factories.NetworkConnectionFactory(account=owner.account)
        factories.OfferFactory(connection=network)
        for row in (party, network):
            called(row, *range(30))
            called(row, 2, standing="bad_secret")
        HourlyTotal.objects.create(
            account=owner.account, hour=datetime.now(UTC).replace(minute=0, second=0, microsecond=0), kind="conversion",
            currency="EUR", n=1, amount=1, connection_id=network.pk,
        )  # fmt: skip
    with django_assert_max_num_queries(19):
        seen(owner, span="30d")
