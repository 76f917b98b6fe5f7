"""The overview's figures are those of the rows: real messages, reports, clicks and postbacks are made, and added up."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from postbacks import clicks
from postbacks.models import Click, Conversion
from sendinglists.models import Message, SendingList, SubscriptionChange
from sendinglists.queueing import Draft, queue
from tests import factories
from tests.postbacks.requests import postback
from tests.webhooks.calls import OURS, reply, report, tell
from trackly.models import Account, HourlyTotal
from trackly.pages.kinds import DELIVERED, FAILED, SENT
from trackly.pages.overview import figures
from trackly.pages.overview.numbers import (
    APPROVED,
    CLICKED,
    PENDING,
    SPANS,
    UNVERIFIED,
    Sums,
    converted,
    span_named,
    sums,
    window,
)
from trackly.raw import RawRequest
from trackly.totals import hour_of
from webhooks.inbound.models import Reply

pytestmark = pytest.mark.django_db
NEW_YORK, KOLKATA, ZULU = ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata"), ZoneInfo("UTC")
NOON = datetime(2026, 11, 24, 12, 20, tzinfo=UTC)
DAY, WEEK, MONTH = SPANS


def total(account: Account, at: datetime, kind: str = "click", n: int = 1, **more: object) -> None:
    HourlyTotal.objects.create(account=account, hour=hour_of(at), kind=kind, n=n, **more)


def seen(account: Account, span: str = "24h", zone: ZoneInfo = ZULU, now: datetime = NOON) -> Sums:
    return sums(account.pk, window(span_named(span), zone, now))


# --- against the rows


@pytest.fixture
def line(account: Account) -> SendingList:
    return factories.SendingListFactory(provider_account=factories.ProviderAccountFactory(account=account), number=OURS)


@pytest.fixture
def traffic(line: SendingList, work_off: Callable[[], int]) -> None:
    """Seven messages and one test; reports of five, a STOP, a reply; openings by people and a machine; four postbacks."""
    connection = factories.NetworkConnectionFactory(account=line.account)
    offer = factories.OfferFactory(connection=connection)
    now = datetime.now(UTC)
    drafts = [
        Draft(sending_list=line, to=f"+1415555010{n}", body="Look: {{link}}", offer_id=offer.pk, is_test=n == 7)
        for n in range(8)
    ]
    sent = [queue(draft, now=now)[0] for draft in drafts]
    words = ("delivered", "delivered", "read", "failed", "sent")
    tell(line.provider_account, *(report(message.reference, word) for message, word in zip(sent, words, strict=False)))
    tell(line.provider_account, report(sent[7].reference, "delivered"))
    tell(line.provider_account, reply("STOP", sender="+14155550101"), reply("who is this", key="r-2"))
    for message in (sent[0], sent[0], sent[1], sent[7]):
        clicks.open(message.link_set.get().code, _opening("Mozilla/5.0 (iPhone) Safari/605.1"), now=now)
    clicks.open(sent[2].link_set.get().code, _opening("curl/8.0"), now=now)
    work_off()
    clicks.tally()
    people = list(Click.objects.filter(bot="", is_test=False).order_by("id"))
    token = f"/api/postbacks/{connection.network}/{connection.postback_token}"
    bare = f"/api/postbacks/{connection.network}"
    for url, click, rest in (
        (token, people[0], "payout=12.50"), (token, people[1], "payout=3&currency=EUR&transaction_id=t2"),
        (token, people[2], "payout=7&status=pending"), (bare, people[2], "payout=2&transaction_id=t9"),
    ):  # fmt: skip
        assert Client().get(f"{url}?click_id={click.click_id}&{rest}", secure=True).status_code == 200
    work_off()


def _opening(agent: str) -> RawRequest:
    return replace(postback(), headers=(("user-agent", agent),))


def test_every_figure_is_the_number_of_its_rows(account: Account, traffic: None) -> None:
    found = seen(account, now=datetime.now(UTC))
    states = Counter(Message.objects.filter(is_test=False).values_list("status", flat=True))
    assert states == {"delivered": 2, "read": 1, "failed": 1, "sent": 1, "queued": 2}
    assert found.n("message") == 7
    assert (found.n(*SENT), found.n(*DELIVERED), found.n(*FAILED), found.waiting) == (5, 3, 1, 2)
    people = Click.objects.filter(bot="", is_test=False)
    assert (found.n("click"), found.n(CLICKED)) == (people.count(), people.filter(is_counted=True).count()) == (3, 2)
    assert found.n("bot_click") == Click.objects.exclude(bot="").count() == 1
    assert found.n("reply") == Reply.objects.count() == 2
    assert found.n("opt_out") == SubscriptionChange.objects.filter(decision="opt_out").count() == 1


def test_the_money_is_that_of_the_conversions_in_each_currency(account: Account, traffic: None) -> None:
    found = seen(account, now=datetime.now(UTC))
    rows = Conversion.objects.exclude(kind="")
    for kinds, status, is_verified in (
        (APPROVED, "approved", True),
        (PENDING, "pending", True),
        (UNVERIFIED, "approved", False),
    ):
        mine = list(rows.filter(status=status, is_verified=is_verified))
        assert mine, status
        assert found.n(*kinds) == len(mine)
        for currency in {row.currency for row in mine}:
            assert found.amount(kinds, currency) == sum(row.payout for row in mine if row.currency == currency)
    assert found.currencies(*APPROVED) == ["EUR", "USD"]


def test_each_list_knows_its_own_messages(account: Account, line: SendingList, traffic: None) -> None:
    found = seen(account, now=datetime.now(UTC))
    assert sum(found.lists[line.pk][kind] for kind in SENT) == 5


def test_another_accounts_totals_are_not_counted(account: Account, other: Account) -> None:
    total(other, NOON)
    assert seen(account).n("click") == 0


# --- spans


def test_an_unknown_span_is_the_shortest() -> None:
    assert span_named("1000d") is DAY


def test_a_day_is_the_running_hour_and_the_23_before(account: Account) -> None:
    for hours in (0, 23, 24):
        total(account, NOON - timedelta(hours=hours))
    assert seen(account).series(("click",)) == [1, *[0] * 22, 1]


def test_the_day_the_clocks_go_back_has_25_hours(account: Account) -> None:
    now = datetime(2026, 11, 3, 17, tzinfo=UTC)
    for hours in range(24 * 9):
        total(account, now - timedelta(hours=hours))
    found = seen(account, "7d", NEW_YORK, now)
    assert found.series(("click",)) == [24, 24, 24, 24, 25, 24, 13]
    assert found.window.labels[4] == "Sun 1 Nov"


def test_the_day_the_clocks_go_forward_has_23_hours(account: Account) -> None:
    now = datetime(2026, 3, 9, 16, tzinfo=UTC)
    for hours in range(24 * 9):
        total(account, now - timedelta(hours=hours))
    assert seen(account, "7d", NEW_YORK, now).series(("click",)) == [24, 24, 24, 24, 24, 23, 13]


def test_the_hour_that_the_clocks_repeat_is_told_apart() -> None:
    labels = window(DAY, NEW_YORK, datetime(2026, 11, 1, 12, tzinfo=UTC)).labels
    assert [label for label in labels if label.startswith("01:00")] == ["01:00 EDT", "01:00 EST"]
    assert len(set(labels)) == 24


def test_a_day_that_begins_in_the_middle_of_an_hour_leaves_that_hour_to_the_day_before(account: Account) -> None:
    # Midnight in Kolkata is 18:30 UTC.
    total(account, datetime(2026, 11, 23, 18, tzinfo=UTC))
    total(account, datetime(2026, 11, 23, 19, tzinfo=UTC), n=10)
    found = seen(account, "7d", KOLKATA)
    assert found.series(("click",))[-2:] == [1, 10]
    assert found.window.has_uneven_days
    assert not window(WEEK, NEW_YORK, NOON).has_uneven_days


# --- comparisons


@pytest.mark.parametrize(("key", "days"), [("24h", 1), ("7d", 7), ("30d", 30)])
def test_whole_hours_are_compared_with_the_same_hours_before(account: Account, key: str, days: int) -> None:
    for hours in range(24 * (2 * days + 2)):
        total(account, NOON - timedelta(hours=hours))
    now, before = seen(account, key).compared("click")
    assert now == before > 0


def test_the_running_hour_is_in_the_figure_and_in_no_comparison(account: Account) -> None:
    total(account, NOON, n=5)
    total(account, NOON - timedelta(days=1), n=7)
    total(account, NOON - timedelta(days=1, hours=1), n=100)
    found = seen(account)
    assert found.n("click") == 5
    assert found.compared("click") == (0, 100)


def test_at_midnight_the_running_hour_is_the_whole_day(account: Account) -> None:
    midnight = datetime(2026, 11, 24, 0, 10, tzinfo=UTC)
    total(account, midnight, n=3)
    total(account, midnight - timedelta(hours=1), n=4)
    found = seen(account, "7d", ZULU, midnight)
    assert found.series(("click",))[-2:] == [4, 3]
    assert found.compared("click") == (4, 0)


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        (112, 100, "+12 % on the 7 days before"),
        (50, 100, "−50 % on the 7 days before"),
        (100, 100, "as in the 7 days before"),
        (1500, 100, "15 times the 7 days before"),
        (0, 100, "−100 % on the 7 days before"),
    ],
)
def test_a_change_is_told_in_words(now: int, before: int, words: str) -> None:
    assert figures.changed(now, before, "7 days") == words


# --- one currency out of several


def earned(account: Account, days_ago: int, amount: str, currency: str) -> None:
    total(account, NOON - timedelta(days=days_ago), "conversion", currency=currency, amount=Decimal(amount))


def test_money_is_converted_at_the_rate_of_each_day(account: Account) -> None:
    earned(account, 0, "10", "EUR")
    earned(account, 2, "10", "EUR")
    earned(account, 2, "1", "USD")
    rates = {
        "USD": [(date.min, Decimal(1))],
        "EUR": [(date(2026, 1, 1), Decimal("1.1")), (date(2026, 11, 24), Decimal("1.2"))],
    }
    assert converted(seen(account, "7d"), APPROVED, rates) == Decimal("24.00")


def test_without_a_rate_for_every_day_nothing_is_added_up(account: Account) -> None:
    earned(account, 0, "10", "EUR")
    earned(account, 2, "10", "EUR")
    assert converted(seen(account, "7d"), APPROVED, {"EUR": [(date(2026, 11, 23), Decimal(2))]}) is None
