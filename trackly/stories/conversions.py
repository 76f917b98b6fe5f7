"""Owns the stories of a conversion and of a click: what a postback was judged to be, what it is worth, and why."""

from datetime import datetime

from django.utils import timezone

from postbacks.cases import REJECTED, STANDING
from postbacks.correcting import ACCEPTABLE, PROMOTABLE
from postbacks.judging import NAMES_NO_CLICK, is_settled
from postbacks.models import Click, Conversion, NetworkConnection
from postbacks.verdicts import BY_REQUEST, FIX, Verdict
from postbacks.weighing import takes_back
from trackly.showing import Badge, Raw, Shown, counted, decoded, lasting, money, tone_of, without_phones
from trackly.stories import Act, Moment, Story, Table
from trackly.stories.rows import MOST, audit_moments, by_time, link, listed, request_link, state_of

Kind = Conversion.Kind


def conversion_story(row: Conversion, *, may_change: bool, is_revealed: bool, now: datetime | None = None) -> Story:
    siblings = list(_siblings(row))
    return Story(
        state=state_of(row, "verdict"),
        headline=_headline(row),
        why=tuple(_why(row, siblings, now or timezone.now())),
        facts=_facts(row),
        moments=tuple(_moments(row)),
        tables=(_same_click(row, siblings), _as_it_came(row)),
        acts=_acts(row) if may_change else (),
        holds_secrets=without_phones(decoded(row.query)) != decoded(row.query),
        is_revealed=is_revealed,
    )


def _headline(row: Conversion) -> str:
    amount = money(row.payout, row.currency) or "no amount"
    if row.kind == Kind.ADJUSTMENT:
        return f"It corrects an earlier conversion by {amount}."
    if row.kind:
        noun = "a further sale" if row.kind == Kind.UPSELL else "a conversion"
        return f"It counts as {noun} of {amount}, {row.get_status_display().lower()}."
    if row.verdict == Verdict.WAITING:
        return "It is not judged yet; the worker does so within a second."
    return f"It does not count ({amount}): {row.get_verdict_display().lower()}."


def _why(row: Conversion, siblings: list[Conversion], now: datetime) -> list[str]:
    said = _advice(row)
    if row.kind:
        said += _why_counted(row, siblings)
    if row.is_accepted:
        said.append("Somebody of us vouched for it: it counts as if it had come with the token.")
    if row.is_late:
        said.append("It came after the attribution window and is marked late.")
    if row.original:
        first = f"{row.original.received_at:%Y-%m-%d %H:%M:%S} UTC"
        said.append(f"It is weighed against the conversion of {first}, which stands below.")
    if row.verdict == Verdict.UNKNOWN_CLICK:
        said.append(f"Its click has been looked for for {lasting(now - row.received_at)}, every few seconds at first.")
    return said


def _advice(row: Conversion) -> list[str]:
    """What to do about its verdict."""
    said = [row.fix] if row.fix else []
    if row.verdict == Verdict.STATUS_UNMAPPED:
        said.append(FIX[Verdict.STATUS_UNMAPPED])
    if row.verdict == Verdict.BAD_PAYOUT and row.reported_payout is not None:
        said.append(
            "If such amounts are real, raise the payout ceiling on the account's page, then replay the request it came in."
        )
    if row.account_id is None:
        said.append(
            "It is unrouted: its URL names no account and its click id is none of ours. Assign it to a connection, here below."
        )
    return said


def _why_counted(row: Conversion, siblings: list[Conversion]) -> list[str]:
    said = [] if row.payout else [_why_zero(row)]
    if not (row.is_verified or row.is_accepted):
        said.append("It came on the bare URL without the token, so it counts as unverified.")
    also = [hit for hit in siblings if hit.kind and hit.kind != Kind.ADJUSTMENT]
    return [*said, _why_twice(row, also)] if also else said


def _why_zero(row: Conversion) -> str:
    """Payout is zero."""
    if row.payout_text:
        return f"The payout is zero because the postback says so: '{row.payout_text[:40]}'."
    if row.offer is None:
        return "The payout is zero: the postback names no amount, and the click leads to no offer that could have a default."
    if row.offer.default_payout is None:
        return (
            "The payout is zero: the postback names no amount and the offer has no default payout. Add the payout macro to "
            "the postback URL, or a default to the offer."
        )
    if "default_payout_not_applied" in row.flags:
        return (
            "The payout is zero: the postback names another currency and no amount, and the offer's default is in ours."
        )
    return "The payout is zero: the offer's default payout is zero."


def _why_twice(row: Conversion, also: list[Conversion]) -> str:
    """A sale was counted twice."""
    names = {hit.transaction_id for hit in also} | {row.transaction_id}
    rule = row.connection.get_duplicate_rule_display().lower() if row.connection else "ignore"
    n = counted(len(also), "other conversion that counts", "other conversions that count")
    if any(hit.event != row.event for hit in also):
        return f"This click has {n}: they report different events, and every event counts for itself."
    if any(hit.network != row.network for hit in also):
        return f"This click has {n}, from different networks."
    if len(names) > 1:
        return (
            f"This click has {n}: the transaction ids differ, so they are different sales. If the network reported "
            "one sale under two ids, mark one as a test."
        )
    return (
        f"This click has {n}: the connection's duplicate rule is '{rule}'. With 'ignore' a repeat with the same "
        "transaction id would not count."
    )


def _facts(row: Conversion) -> tuple[tuple[str, Shown], ...]:
    return (
        ("Received", row.received_at),
        ("Judged", row.judged_at),
        ("Account", link(row.account) or "Unrouted"),
        ("Connection", link(row.connection)),
        ("Network", row.network),
        ("Proof", "token" if row.is_verified else "vouched for by us" if row.is_accepted else "none: the bare URL"),
        ("Click id as it came", row.click_text),
        ("Click", link(row.click)),
        ("Message", link(row.message)),
        ("Sending list", link(row.sending_list)),
        ("Offer", link(row.offer)),
        ("Transaction id", row.transaction_id),
        ("Event", " ".join(part for part in (row.event, row.event_name) if part)),
        ("Status", f"{row.get_status_display()}{f' (their word: {row.status_word})' if row.status_word else ''}"),
        ("Counts with", money(row.payout, row.currency) if row.kind else "nothing"),
        ("Payout as it came", row.payout_text or "none named"),
        ("Marks", ", ".join(row.flags)),
        ("Came in", request_link(row.request_uid)),
        ("We answered", row.reply),
    )


def _moments(row: Conversion) -> list[Moment]:
    found = [Moment(at=row.received_at, what="Received", detail=row.reply, source=request_link(row.request_uid))]
    if row.click:
        found.append(
            Moment(
                at=row.click.at, what="The click", detail=row.click.user_agent[:120], source=link(row.click, "click")
            )
        )
    if row.judged_at:
        found.append(Moment(at=row.judged_at, what=state_of(row, "verdict"), detail=row.detail, source="worker"))
    found += audit_moments(row)
    return sorted(found, key=lambda moment: by_time(moment.at))


def _siblings(row: Conversion) -> list[Conversion]:
    """The other hits of its click; of a hit without one, those with its transaction id."""
    if row.click_id:
        hits = Conversion.objects.filter(click_id=row.click_id)
    elif row.transaction_id:
        hits = Conversion.objects.filter(transaction_id=row.transaction_id, account=row.account)
    else:
        return []
    return list(hits.exclude(pk=row.pk).select_related("connection").order_by("-id")[:MOST])


def _same_click(row: Conversion, siblings: list[Conversion]) -> Table:
    rows: list[tuple[Shown, ...]] = [
        (
            hit.received_at,
            state_of(hit, "verdict"),
            money(hit.payout, hit.currency),
            "counts" if hit.kind else "does not count",
            hit.transaction_id,
            hit.event,
            link(hit, "conversion"),
        )
        for hit in siblings
    ]
    title = "Other postbacks of this click" if row.click_id else "Other postbacks with this transaction id"
    columns = ("Received", "Verdict", "Payout", "", "Transaction", "Event", "")
    return Table(title=title, columns=columns, rows=rows, empty="None: it was reported once.")


def _as_it_came(row: Conversion) -> Table:
    return Table(title="As it came", columns=("Query, and a POST's body",), rows=[(Raw(decoded(row.query)),)], empty="")


def _acts(row: Conversion) -> tuple[Act, ...]:
    acts = []
    if row.verdict in ACCEPTABLE:
        acts.append(Act(verb="accept", label="Accept", explain="Let it count as if it had come with the token"))
    if row.account_id is None or row.verdict == Verdict.BAD_SECRET:
        choices = tuple((str(item.pk), f"{item.name}, {item.account}") for item in _connections(row))
        if choices:
            acts.append(Act(verb="assign", label="Assign", ask="To which connection?", choices=choices))
    acts += _acts_on_sales(row)
    if row.verdict in NAMES_NO_CLICK:
        acts.append(
            Act(
                verb="match",
                label="Match by hand",
                ask="The click id",
                explain="Give it the click it belongs to; audited",
            )
        )
    if row.verdict != Verdict.TEST and (row.kind or row.verdict not in BY_REQUEST):
        acts.append(
            Act(
                verb="test",
                label="Mark as test",
                ask="Why?",
                explain="It counts in no total any more, and that cannot be undone; audited",
            )
        )
    return tuple(acts)


def _acts_on_sales(row: Conversion) -> list[Act]:
    """What is said about a sale, whatever the network says."""
    acts = []
    is_open = not row.kind and not is_settled(row) and row.verdict != Verdict.TEST
    if REJECTED in row.flags and not row.is_test:
        acts.append(
            Act(verb="approve", label="Take the rejection back", explain="It stands as the network says; audited")
        )
    elif is_open or (row.kind and row.kind != Kind.ADJUSTMENT and row.status in STANDING):
        acts.append(
            Act(
                verb="reject",
                label="Reject",
                ask="Why is it rejected?",
                explain="It earns nothing, whatever comes later; audited",
            )
        )
    if row.verdict in PROMOTABLE and row.status in STANDING and not takes_back(row):
        acts.append(Act(verb="promote", label="Count as a further sale", explain="It was no repetition; audited"))
    return acts


def _connections(row: Conversion) -> list[NetworkConnection]:
    found = (
        NetworkConnection.objects.filter(network=row.network)
        .select_related("account")
        .order_by("account__name", "name")
    )
    return list((found.filter(account_id=row.account_id) if row.account_id else found)[:200])


def click_story(row: Click, *, is_revealed: bool) -> Story:
    hits = Conversion.objects.filter(click=row).order_by("-id")[:MOST]
    why = []
    if row.bot:
        why.append(
            f"Taken for a machine ({row.bot}): it was redirected like everybody, and is counted apart from people."
        )
    elif row.message_id is None:
        why.append("A person. The link belongs to no message, so every opening by a person counts.")
    elif row.is_counted:
        why.append("The first opening of its message by a person: the click of this message.")
    else:
        why.append("A person, but not the first opening of its message: it is in 'clicks' and not in 'counted clicks'.")
    return Story(
        state=Badge("Machine", tone_of("bot")) if row.bot else Badge("Person", tone_of("person")),
        headline=f"An opening of /c/{row.link.code}, {counted(len(hits), 'postback')} came back for it.",
        why=tuple(why),
        facts=(
            ("When", row.at),
            ("Click id", row.click_id),
            ("Account", link(row.account)),
            ("Link", link(row.link)),
            ("Offer", link(row.offer)),
            ("Message", link(row.message)),
            ("Sending list", link(row.sending_list)),
            ("From", row.address),
            ("Browser", row.user_agent),
            ("Test", "yes" if row.is_test else "no"),
        ),
        tables=(
            Table(
                title="Postbacks of it",
                columns=("Received", "Verdict", "Payout", "Transaction", ""),
                rows=[
                    (
                        hit.received_at,
                        state_of(hit, "verdict"),
                        money(hit.payout, hit.currency),
                        hit.transaction_id,
                        link(hit, "conversion"),
                    )
                    for hit in hits
                ],
                empty="The network reported nothing for this click.",
                more=listed("all", Conversion, q=row.click_id),
            ),
        ),
        is_revealed=is_revealed,
    )
