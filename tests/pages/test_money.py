"""The pages of conversions: totals that are those of the hours, filters, what needs somebody, the file, and what people do."""

import csv
import io
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse

from postbacks.models import Conversion
from tests import factories
from tests.pages.conftest import Person
from tests.postbacks import conftest
from tests.postbacks.conftest import World
from trackly.models import Account, AuditEntry, HourlyTotal
from trackly.pages.money.asked import Span
from trackly.pages.money.earning import Entry, in_own_currency, read

UTC = ZoneInfo("UTC")
GROUPS = ("", "counts", "not", "needs", "duplicates", "tests")
HOURS = timedelta(hours=1)
BARE = {"bare": True}


# Postbacks as the network sends them.
world, elsewhere = conftest.world, conftest.elsewhere


@pytest.fixture
def account(world: World) -> Account:
    return world.account


def row(**fields: Any) -> Conversion:
    """A conversion without a postback, for what only looks."""
    key = factories.fingerprint((str(Conversion.objects.count()),))
    given = {
        "kind": "conversion",
        "verdict": "recorded",
        "key": key,
        "payout": 10,
        "currency": "USD",
        "is_verified": True,
    }
    return factories.ConversionFactory(**{**given, **fields})


def words(answer: Any) -> str:
    assert answer.status_code == 200, answer.content[:2000]
    return answer.content.decode()


def listed(answer: Any) -> list[str]:
    """The verdicts of the list, newest first."""
    return [cells[1][1].text for _, cells in answer.context["sheet"].rows]


def name(hit: Conversion) -> str:
    return f"{hit.request_uid}-{hit.item}"


# --- what was earned


def spread(world: World) -> None:
    """Every status, proof and correction, over two days."""
    world.rule(status_words={"gone": "reversed"})
    for n, said in enumerate(
        [
            {"payout": 10, "txid": "a"},
            {"payout": 11, "txid": "b", "status": "pending"},
            {"payout": 12, "txid": "c", "status": "rejected"},
            {"payout": 13, "txid": "d"},
            {"payout": -13, "txid": "d"},
            {"payout": 14, "txid": "e"},
            {"payout": -4, "txid": "e"},
            {"payout": 15, "txid": "f", "currency": "EUR"},
            {"payout": 16, "goal_id": 1, "to": BARE},
            {"payout": 17, "txid": "g", "status": "pending"},
            {"payout": -2, "txid": "g"},
            {"payout": 18, "goal_id": 3, "test": 1},
        ]
    ):
        world.say(**said, ago=HOURS * (36 - 3 * n))


def test_the_totals_are_those_of_the_hours(world: World) -> None:
    spread(world)
    hour = Conversion.objects.order_by("-received_at")[0].received_at.replace(minute=0, second=0, microsecond=0)
    span = Span(since=hour - 30 * HOURS, until=hour - 5 * HOURS, zone=UTC, by_click=False)
    expected: dict[Any, list[Any]] = defaultdict(lambda: [0, Decimal(0)])
    within = HourlyTotal.objects.filter(hour__gte=span.since, hour__lt=span.until, kind__startswith="conversion")
    for total in within:
        for part, n in ((0, total.n), (1, total.amount)):
            expected[total.kind, total.list_id, total.connection_id, total.currency][part] += n
    for split, place in (("connection", 2), ("list", 1), ("day", None), ("offer", None)):
        found: dict[Any, list[Any]] = defaultdict(lambda: [0, Decimal(0)])
        for entry in read(world.account, span, split=split, only={}).parts:
            key = (_kind(entry), entry.part or 0 if place else None, entry.currency)
            found[key][0] += 0 if entry.takes or entry.status == "reversed" else entry.rows
            found[key][1] += entry.amount
        summed: dict[Any, list[Any]] = defaultdict(lambda: [0, Decimal(0)])
        for key, (n, amount) in expected.items():
            summed[key[0], key[place] if place else None, key[3]][0] += n
            summed[key[0], key[place] if place else None, key[3]][1] += amount
        assert _full(found) == _full(summed)
        assert len(_full(found)) >= 4


def _kind(entry: Entry) -> str:
    kind = {"pending": "conversion_pending", "rejected": "conversion_rejected"}.get(entry.status, "conversion")
    return kind if entry.is_trusted else f"{kind}_unverified"


def _full(sums: Any) -> dict[Any, tuple[int, Decimal]]:
    return {key: (n, amount) for key, (n, amount) in sums.items() if (n, amount) != (0, 0)}


def test_each_status_currency_and_proof_stands_apart(world: World, viewer: Person) -> None:
    spread(world)
    answer = viewer.get("conversions")
    told = {currency: [cell[1:] for cell in cells] for currency, cells in answer.context["totals"]}
    assert told == {
        "EUR": [(1, "15.00 EUR"), (0, ""), (0, ""), (0, "")],
        "USD": [(3, "36.00 USD"), (2, "26.00 USD"), (1, "12.00 USD"), (1, "13.00 USD")],
    }
    assert [(currency, cells[0][1:]) for currency, cells in answer.context["unverified"]] == [("USD", (1, "16.00 USD"))]
    assert "by your rates" not in words(answer)
    only = viewer.get("conversions", verified="yes").context["totals"]
    assert dict(only)["USD"][0][1:] == (2, "20.00 USD")


def test_an_accepted_hit_is_verified_money(account: Account, viewer: Person) -> None:
    row(account=account, is_verified=False, is_accepted=True)
    assert viewer.get("conversions").context["unverified"] == []


def test_a_foreign_day_is_worth_the_rate_of_that_day(account: Account, viewer: Person) -> None:
    today = factories.now().date()
    row(account=account, currency="EUR", received_at=factories.now() - timedelta(days=5))
    row(account=account, currency="EUR")
    row(account=account)
    factories.ExchangeRateFactory(account=account, currency="EUR", rate=3, valid_from=today - timedelta(days=1))
    assert "by your rates" not in words(viewer.get("conversions"))
    factories.ExchangeRateFactory(account=account, currency="EUR", rate=2, valid_from=today - timedelta(days=9))
    assert "About 60.00 USD by your rates" in words(viewer.get("conversions"))
    row(account=account, currency="GBP")
    assert "by your rates" not in words(viewer.get("conversions"))


def test_no_rate_is_needed_where_all_is_in_the_accounts_currency(account: Account) -> None:
    row(account=account)
    span = Span(since=factories.now() - 24 * HOURS, until=factories.now(), zone=UTC, by_click=False)
    assert in_own_currency(account, read(account, span, split="day", only={}).days) is None


def test_the_days_are_those_of_the_account_or_of_the_connection_that_is_looked_at(
    world: World,
    account: Account,
    viewer: Person,
) -> None:
    world.rule(time_zone="Pacific/Auckland")
    at = datetime(2025, 3, 4, 20, tzinfo=UTC)
    row(account=account, connection=world.connection, received_at=at)
    own = {"days": "own", "since": "2025-03-01", "until": "2025-03-10", "connection": world.connection.pk}
    assert [part[0] for part in viewer.get("conversions", **own).context["parts"]] == ["Tue 04 Mar 2025"]
    answer = viewer.get("conversions", **own, clock="connection")
    assert [part[0] for part in answer.context["parts"]] == ["Wed 05 Mar 2025"]
    assert "in Pacific/Auckland" in words(answer)


def test_by_the_date_of_the_click_a_late_sale_belongs_to_the_day_of_its_click(
    world: World,
    account: Account,
    viewer: Person,
) -> None:
    click = factories.ClickFactory(link=world.click.link, at=datetime(2025, 3, 4, 12, tzinfo=UTC))
    row(account=account, click=click, received_at=datetime(2025, 5, 1, tzinfo=UTC))
    march = {"since": "2025-03-01", "until": "2025-03-31"}
    assert viewer.get("conversions", **march).context["totals"] == []
    answer = viewer.get("conversions", **march, by="click")
    assert [part[0] for part in answer.context["parts"]] == ["Tue 04 Mar 2025"]
    assert listed(answer) == ["Recorded"]


@pytest.mark.parametrize("split", ["offer", "connection", "list"])
def test_it_is_broken_down_by_what_it_belongs_to(world: World, viewer: Person, split: str) -> None:
    world.say(payout=10)
    row(account=world.account, payout=5)
    parts = viewer.get("conversions", split=split).context["parts"]
    names = {
        "offer": [world.offer.name, "No offer"],
        "connection": [world.connection.name, "No connection"],
        "list": ["No list"],
    }
    assert [getattr(part[0], "text", part[0]) for part in parts] == names[split]
    assert parts[0][2][0][1:] == ((2, "15.00 USD") if split == "list" else (1, "10.00 USD"))


def test_nothing_of_another_account_is_counted_or_listed(account: Account, other: Account, viewer: Person) -> None:
    row(account=other)
    answer = viewer.get("conversions")
    assert (answer.context["totals"], listed(answer)) == ([], [])


# --- the list


def test_the_groups_of_verdicts(world: World, viewer: Person) -> None:
    world.say(payout=10)
    world.say(payout=10)
    world.say(payout=-3, to=BARE)
    world.say(click_id="y" * 26, payout=4)
    world.say(payout=7, test=1)
    world.say(click_id="z" * 26, payout=5, ago=2 * HOURS)
    groups = {group: listed(viewer.get("conversions", group=group)) for group in GROUPS}
    held, unknown = "Held for the owner", "Click not found"
    assert groups == {
        "": [unknown, unknown, held, "Duplicate", "Recorded"],
        "counts": ["Recorded"],
        "not": [unknown, unknown, held, "Duplicate"],
        "needs": [unknown, held],
        "duplicates": ["Duplicate"],
        "tests": ["Test"],
    }
    page = words(viewer.get("conversions"))
    assert "1 postback worth 5.00 USD names a click that is not known." in page
    assert "1 postback worth -3.00 USD came without the token and waits for you" in page


def test_a_postback_that_is_named_is_found_whenever_it_came(world: World, viewer: Person) -> None:
    hit = world.say(payout=10, txid="T-1")
    old = factories.now() - timedelta(days=200)
    world.say(payout=20, txid="T-2")
    Conversion.objects.filter(pk=hit.pk).update(received_at=old)
    for asked in ({"transaction": "T-1"}, {"transaction": "T-1", "group": "counts", "days": "1"}):
        assert [leads for leads, _ in viewer.get("conversions", **asked).context["sheet"].rows] == [
            viewer.url("conversion", name(hit))
        ]
    assert len(viewer.get("conversions", click=world.click.click_id.upper()).context["sheet"].rows) == 2
    unknown = world.say(click_id="Unknown1", payout=3)
    Conversion.objects.filter(pk__in=[hit.pk, unknown.pk]).update(received_at=old)
    assert [leads for leads, _ in viewer.get("conversions", click="unknown1").context["sheet"].rows] == [
        viewer.url("conversion", name(unknown))
    ]


def test_a_time_that_is_over_shows_its_own_postbacks(world: World, viewer: Person) -> None:
    old = row(account=world.account, received_at=datetime(2025, 3, 4, tzinfo=UTC))
    row(account=world.account)
    sheet = viewer.get("conversions", days="own", since="2025-03-01", until="2025-03-31").context["sheet"]
    assert [leads for leads, _ in sheet.rows] == [viewer.url("conversion", name(old))]


def test_the_page_asks_few_questions_however_many_rows(
    world: World,
    viewer: Person,
    django_assert_max_num_queries: Any,
) -> None:
    factories.ExchangeRateFactory(account=world.account)
    for n in range(30):
        connection = factories.NetworkConnectionFactory(account=world.account)
        offer = factories.OfferFactory(connection=connection)
        row(account=world.account, connection=connection, offer=offer, currency="EUR" if n % 2 else "USD")
    for split in ("day", "offer", "connection", "list"):
        with django_assert_max_num_queries(19):
            viewer.get("conversions", split=split)


def test_a_live_list_is_the_table_alone(account: Account, viewer: Person) -> None:
    row(account=account)
    part = viewer.client.get(viewer.url("conversions") + "?live=1", headers={"HX-Request": "true"})
    assert words(part).strip().startswith('<div id="rows"')
    assert "every 2s" in words(part)


# --- the file


def test_the_file_holds_the_filtered_list_with_formulas_defused_and_no_phone(
    world: World,
    member: Person,
    viewer: Person,
) -> None:
    message = factories.MessageFactory(account=world.account, to="+14155550123")
    hit = world.say(payout=10, txid="=HYPERLINK(1)", event_name="@SUM(1)")
    Conversion.objects.filter(pk=hit.pk).update(message=message)
    world.say(payout=-3, txid="=HYPERLINK(1)")
    world.say(payout=99, test=1)
    answer = member.get("conversions_csv", group="counts")
    text = b"".join(answer.streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(cells["payout"], cells["currency"], cells["transaction_id"]) for cells in rows] == [
        ("-3", "USD", "'=HYPERLINK(1)"),
        ("10", "USD", "'=HYPERLINK(1)"),
    ]
    assert rows[1]["received_at"] == hit.received_at.isoformat(timespec="milliseconds")
    assert rows[1]["received_at"].endswith("+00:00")
    assert rows[1]["message_id"] == message.public_id
    assert "4155550123" not in text
    assert viewer.get("conversions_csv").status_code == 403


# --- what is done


@pytest.fixture
def held(world: World) -> Conversion:
    world.offer.ceiling = 5
    world.offer.save()
    return world.say(payout=50, to=BARE)


def test_a_held_postback_is_accepted_and_counts(world: World, held: Conversion, member: Person) -> None:
    assert "Accept" in words(member.get("conversion", name(held)))
    member.post("conversion_do", name(held), "accept")
    assert world.totals() == {"conversion": (1, "50")}
    assert AuditEntry.objects.get().user == member.user


def test_a_sale_is_rejected_and_approved_again(world: World, member: Person) -> None:
    hit = world.say(payout=10)
    member.post("conversion_do", name(hit), "reject", reason="Fraud")
    assert world.totals() == {"conversion_rejected": (1, "10")}
    page = words(member.get("conversion", name(hit)))
    assert "It was rejected by hand" in page
    assert "Fraud" in page
    member.post("conversion_do", name(hit), "approve")
    assert world.totals() == {"conversion": (1, "10")}


def test_a_duplicate_is_promoted(world: World, member: Person) -> None:
    world.say(payout=10)
    member.post("conversion_do", name(world.say(payout=10)), "promote")
    assert world.totals() == {"conversion": (2, "20")}


def test_a_test_needs_a_reason(world: World, member: Person) -> None:
    hit = world.say(payout=10)
    assert "This field is required" in words(member.post("conversion_do", name(hit), "test"))
    assert world.totals() == {"conversion": (1, "10")}
    member.post("conversion_do", name(hit), "test", reason="Mine")
    assert world.totals() == {}


def test_a_wrong_token_is_assigned_to_an_own_connection_only(
    world: World,
    elsewhere: World,
    member: Person,
) -> None:
    hit = world.say(payout=10, to={"token": "w" * 26})
    assert elsewhere.connection.name not in words(member.get("conversion", name(hit)))
    words(member.post("conversion_do", name(hit), "assign", connection=elsewhere.connection.pk))
    assert world.totals() == {}
    member.post("conversion_do", name(hit), "assign", connection=world.connection.pk)
    assert world.totals() == {"conversion": (1, "10")}


def test_what_cannot_be_done_says_why(world: World, member: Person) -> None:
    hit = world.say(payout=10)
    answer = member.client.post(member.url("conversion_do", name(hit), "promote"), follow=True)
    assert "Only a duplicate can become a further sale" in words(answer)
    assert member.post("conversion_do", name(hit), "delete").status_code == 404
    assert member.get("conversion", f"{hit.request_uid}-99999").status_code == 404
    assert member.get("conversion", "x").status_code == 404


def test_a_viewer_sees_the_story_and_no_button(world: World, held: Conversion, viewer: Person) -> None:
    page = words(viewer.get("conversion", name(held)))
    assert "It does not count" in page
    assert "What you can do" not in page
    for verb in ("accept", "reject", "approve", "promote", "assign", "test"):
        assert viewer.post("conversion_do", name(held), verb).status_code == 403
    assert viewer.get("conversion_match", name(held)).status_code == 403
    assert viewer.post("conversions_accept").status_code == 403


def test_another_account_finds_no_postback_of_this_one(held: Conversion, rival: Person) -> None:
    for page in ("conversion", "conversion_match"):
        assert rival.get(page, name(held)).status_code == 404
    assert rival.post("conversion_do", name(held), "accept").status_code == 404


# --- without a click


def test_unmatched_postbacks_stand_with_their_money_and_lead_to_a_match(world: World, member: Person) -> None:
    hit = world.say(click_id="y" * 26, payout=4, currency="EUR", ago=2 * HOURS)
    world.say(click_id="{aff_sub}", payout=5)
    world.say(payout=6)
    answer = member.get("unmatched")
    assert listed(answer) == ["Macro not replaced", "Click not found"]
    assert "1 postback worth 4.00 EUR names a click that is not known." in words(answer)
    assert member.url("conversion_match", name(hit)) in words(answer)


def test_the_clicks_before_a_postback_are_candidates_and_one_button_matches(
    world: World,
    elsewhere: World,
    member: Person,
) -> None:
    hit = world.say(click_id="{aff_sub}", payout=5)
    near = factories.ClickFactory(link=world.click.link, at=hit.received_at - HOURS)
    later = factories.ClickFactory(link=world.click.link, at=hit.received_at + HOURS)
    machine = factories.ClickFactory(link=world.click.link, at=hit.received_at - HOURS, bot="prefetch")
    answer = member.get("conversion_match", name(hit))
    found = [click for click, _ in answer.context["candidates"]]
    assert near in found
    assert not {later, machine, elsewhere.click} & set(found)
    assert member.post("conversion_match", name(hit), click=elsewhere.click.click_id).status_code == 404
    member.post("conversion_match", name(hit), click=near.click_id)
    hit.refresh_from_db()
    assert (hit.verdict, hit.click) == ("recorded", near)


def test_a_click_is_found_by_phone_message_id_and_time(world: World, member: Person) -> None:
    hit = world.say(click_id="{aff_sub}", payout=5)
    message = factories.MessageFactory(account=world.account, to="+14155550123")
    old = hit.received_at - timedelta(days=40)
    click = factories.ClickFactory(link=world.click.link, message=message, at=old)
    for asked in (
        {"phone": "+1 (415) 555-0123"},
        {"message": message.public_id},
        {"click": click.click_id},
        {"at": (old + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M")},
    ):
        answer = member.get("conversion_match", name(hit), **asked)
        assert [found for found, _ in answer.context["candidates"]] == [click], asked


def test_the_place_in_time_is_found_among_many_clicks(world: World, member: Person) -> None:
    hit = world.say(click_id="{aff_sub}", payout=5)
    start = hit.received_at - timedelta(days=10)
    clicks = [factories.ClickFactory(link=world.click.link, at=start + n * HOURS / 10) for n in range(120)]
    asked = (start + 3 * HOURS + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M")
    found = [click for click, _ in member.get("conversion_match", name(hit), at=asked).context["candidates"]]
    assert found[0] in clicks[28:32]
    assert len(found) <= 32


# --- all held at once


def test_all_held_of_a_filter_are_accepted_and_nothing_that_came_after_the_question(
    world: World,
    held: Conversion,
    member: Person,
) -> None:
    asked = member.get("conversions_accept")
    assert "1 held postback worth 50.00 USD" in words(asked)
    late = world.say(payout=60, goal_id=9, to=BARE)
    member.post("conversions_accept", upto=asked.context["upto"])
    assert world.totals() == {"conversion": (1, "50")}
    late.refresh_from_db()
    assert late.verdict == "held"


def test_what_was_rejected_or_does_not_fit_is_not_accepted(world: World, held: Conversion, member: Person) -> None:
    member.post("conversion_do", name(held), "reject")
    assert "No held postback fits" in words(member.get("conversions_accept"))
    other = world.say(payout=60, goal_id=9, to=BARE)
    query = "?verified=yes"
    member.client.post(member.url("conversions_accept") + query, {"upto": other.pk})
    assert world.totals() == {}


def test_more_than_can_be_accepted_at_once_are_asked_for_again(
    world: World,
    held: Conversion,
    member: Person,
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr("trackly.pages.money.held.AT_ONCE", 1)
    last = world.say(payout=60, goal_id=9, to=BARE)
    answer = member.post("conversions_accept", upto=last.pk)
    assert answer["Location"].startswith(reverse("pages:conversions_accept", args=[world.account.public_id]))
    assert world.totals() == {"conversion": (1, "50")}


@pytest.mark.parametrize("upto", ["", "x", "9" * 40, "-1"])
def test_a_made_up_number_accepts_nothing_it_should_not(held: Conversion, member: Person, upto: str) -> None:
    assert member.post("conversions_accept", upto=upto).status_code == 302


def test_amounts_at_stake_in_several_currencies_read_as_a_list(owner: Person, world: World) -> None:
    for currency in ("EUR", "GBP", "USD"):
        row(account=world.account, verdict="held", kind="", payout=5, currency=currency)
    assert "3 postbacks worth 5.00 EUR, 5.00 GBP and 5.00 USD came without the token" in words(owner.get("conversions"))


def test_what_needs_somebody_beyond_four_things_is_folded(owner: Person, world: World) -> None:
    verdicts = ["held", "bad_secret", "status_unmapped", "unknown_click"]
    for verdict in verdicts:
        row(account=world.account, verdict=verdict, kind="", received_at=factories.now() - 2 * HOURS)
    assert "tk-needs-more" not in words(owner.get("conversions"))
    for verdict in ("literal_macro", "bad_payout"):
        row(account=world.account, verdict=verdict, kind="")
    above, _, folded = words(owner.get("conversions")).partition("<summary>2 more</summary>")
    assert [verdict for verdict in verdicts if f"verdict={verdict}&" in above] == verdicts
    assert "verdict=literal_macro&" in folded
    assert "verdict=bad_payout&" in folded


def test_the_verdict_stands_above_what_may_be_done_about_it(member: Person, world: World) -> None:
    held = row(account=world.account, verdict="held", kind="")
    page = words(member.get("conversion", f"{held.request_uid}-{held.item}"))
    assert 0 < page.index("tk-headline") < page.index("What you can do") < page.index("Facts")
