"""Owns record(): a batch of postbacks becomes conversions, judged under the lock of their clicks; and judging again."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from postbacks import networks
from postbacks.answering import PREFIX, verify_again
from postbacks.cases import ASSIGNED, MARKED, MATCHED, Case, unreject
from postbacks.judging import MATTERS, SETTLED, beyond_click, is_settled, judge, matters
from postbacks.models import Click, Conversion, NetworkConnection
from postbacks.networks.base import Reported
from postbacks.receiving import read, verdict_of
from postbacks.verdicts import ConversionStatus, Verdict
from trackly.models import Account
from trackly.totals import ZERO, Key, Totals, hour_of
from webhooks.inbound.inbox import restore
from webhooks.inbound.models import InboundRequest, Proof, State
from webhooks.inbound.routes import read_route

SWEEP_LIMIT = 500
_KIND = {
    ConversionStatus.APPROVED: "conversion",
    ConversionStatus.REVERSED: "conversion",
    ConversionStatus.PENDING: "conversion_pending",
    ConversionStatus.REJECTED: "conversion_rejected",
}
# What judging changes; everything else of a row is evidence.
_JUDGED = [
    "judged_at", "account", "bound_account", "connection", "click", "offer", "message", "sending_list", "original",
    "transaction_id", "status", "payout", "currency", "stated_currency", "verdict", "detail", "kind", "ordinal", "key",
    "is_verified", "is_accepted", "is_test", "is_late", "refusal", "flags",
]  # fmt: skip


def record(rows: list[InboundRequest], now: datetime) -> None:
    """Judge a batch within the caller's transaction; each row is told what came of it."""
    for row in rows:
        if row.refusal and not row.proof and not verify_again(row):
            row.state = State.REFUSED
    rows = [row for row in rows if row.state != State.REFUSED]
    hits = _read(rows)
    clicks = lock_clicks({hit.click_ref for hit in hits} | _matched(rows))
    stored = {(hit.request_uid, hit.item): hit for hit in lock_stored(request_uid__in=[row.uid for row in rows])}
    books = Books(stored.values())
    hits = [_renewed(stored.get((hit.request_uid, hit.item)), hit, clicks) for hit in hits]
    settle([hit for hit in hits if _is_open(hit, clicks)], clicks, books, now)
    verdicts: dict[UUID, Counter[str]] = defaultdict(Counter)
    for hit in hits:
        verdicts[hit.request_uid][Verdict(hit.verdict).label.lower()] += 1
    for row in rows:
        row.results = verdicts[row.uid]
        row.outcome = ", ".join(f"{n} {what}" for what, n in verdicts[row.uid].items())


def _read(rows: list[InboundRequest]) -> list[Conversion]:
    """The hits in these requests, as if they came for the first time."""
    connections = NetworkConnection.objects.in_bulk({row.party_id for row in rows if row.party_id})
    accounts = Account.objects.in_bulk({row.account_id for row in rows if row.account_id})
    return [hit for row in rows for hit in _hits(row, connections, accounts)]


def settle(hits: list[Conversion], clicks: dict[str, Click], books: "Books", now: datetime) -> None:
    """Judge the hits in the order they came, next to every other hit of these locked clicks, and write what changed."""
    cases = Cases(hits, clicks)
    books.open(cases.earlier)
    books.open(hit for hit in hits if not hit.pk)
    for hit in sorted(hits, key=lambda hit: (hit.received_at, hit.request_uid, hit.item)):
        case = cases.of(hit)
        judge(hit, case)
        hit.judged_at = now
        if case.click is not None and matters(hit):
            case.earlier.append(hit)
    books.close()


def rejudge(queryset: QuerySet[Conversion], now: datetime, *, is_accepted: bool = False) -> list[Conversion]:
    """Judge up to SWEEP_LIMIT stored hits again with today's clicks, words and rules, oldest first; those that were judged.

    A hit that counts, or was answered by one that does, is left alone, and so is a test.
    """
    with transaction.atomic():
        queryset = queryset.exclude(verdict__in=[*SETTLED, Verdict.TEST])
        found = queryset.order_by("received_at", "id").values_list("id", "click_ref")[:SWEEP_LIMIT]
        refs = dict(found)
        clicks = lock_clicks(set(refs.values()))
        # Asked again under the lock: another worker may have judged them since.
        again = queryset.filter(id__in=refs).values("id")
        # One matched by hand in between names a click that is not locked here.
        hits = [hit for hit in lock_stored(id__in=again) if hit.click_ref == refs[hit.pk]]
        books = Books(hits)
        for hit in hits if is_accepted else ():
            hit.is_accepted = True
            unreject(hit)
        settle(hits, clicks, books, now)
    return hits


def sweep_unknown(now: datetime, *, since: datetime) -> int:
    """Hits since then whose click is known by now: a postback may overtake the commit of its own click."""
    known = Click.objects.filter(click_id=OuterRef("click_ref"))
    unmatched = Conversion.objects.filter(verdict=Verdict.UNKNOWN_CLICK, received_at__gte=since)
    return len(rejudge(unmatched.filter(Exists(known)), now))


def sweep_unmapped(now: datetime) -> int:
    """Hits whose status word means something by now: to their connection, one made since, or the network's adapter."""
    made_since = NetworkConnection.objects.filter(
        account=OuterRef("account"), network=OuterRef("network"), status_words__has_key=OuterRef("status_word")
    )
    mapped = Q(connection__status_words__has_key=F("status_word"))
    mapped |= Q(Exists(made_since), connection__isnull=True)
    for slug, adapter in networks.all_networks().items():
        mapped |= Q(network=slug, status_word__in=list(adapter.statuses))
    return len(rejudge(Conversion.objects.filter(mapped, verdict=Verdict.STATUS_UNMAPPED), now))


def lock_clicks(refs: set[str]) -> dict[str, Click]:
    """The known ones among these click ids, locked in the order of their ids until the transaction ends."""
    clicks = Click.objects.select_related("account", "offer__connection", "message", "sending_list", "link")
    locked = clicks.filter(click_id__in=refs).order_by("id").select_for_update(of=("self",), no_key=True)
    return {click.click_id: click for click in locked}


def lock_stored(**lookup: object) -> QuerySet[Conversion]:
    """Stored hits as they are now, locked: after the clicks, so that everybody locks in one order."""
    related = Conversion.objects.select_related("account", "bound_account", "connection", "click")
    return related.filter(**lookup).order_by("id").select_for_update(of=("self",), no_key=True)


class Cases:
    """What each hit is judged by, fetched for the whole batch in two statements."""

    def __init__(self, hits: list[Conversion], clicks: dict[str, Click]) -> None:
        self.clicks = clicks
        ids = [click.id for click in clicks.values()]
        judged = [hit.pk for hit in hits if hit.pk]
        tests = Q(verdict=Verdict.TEST) & (Q(flags__contains=[MARKED]) | Q(original__isnull=False))
        earlier = Conversion.objects.filter(Q(verdict__in=MATTERS) | tests, click_id__in=ids)
        self.earlier = _linked(earlier.exclude(id__in=judged), clicks)
        accounts = {click.account_id for click in self.clicks.values()}
        self.connections: dict[tuple[int, str], list[NetworkConnection]] = defaultdict(list)
        for connection in NetworkConnection.objects.filter(account_id__in=accounts).order_by("id"):
            self.connections[connection.account_id, connection.network].append(connection)
        self._earlier: dict[int | None, list[Conversion]] = defaultdict(list)
        for hit in self.earlier:
            self._earlier[hit.click_id].append(hit)

    def of(self, hit: Conversion) -> Case:
        click = self.clicks.get(hit.click_ref)
        adapter = networks.get(hit.network)
        return Case(
            click=click,
            account=click.account if click else None,
            connection=self._connection(hit, click),
            statuses=adapter.statuses if adapter else {},
            earlier=self._earlier[click.id] if click else [],
        )

    def _connection(self, hit: Conversion, click: Click | None) -> NetworkConnection | None:
        """The token's; else the offer's, if it is of this network; else the account's only or oldest one there."""
        if hit.connection is not None or click is None:
            return hit.connection
        if click.offer and click.offer.connection and click.offer.connection.network == hit.network:
            return click.offer.connection
        return next(iter(self.connections[click.account_id, hit.network]), None)


def _linked(queryset: QuerySet[Conversion], clicks: dict[str, Click]) -> list[Conversion]:
    """Hits oldest first, with their click and their original as the same objects the batch holds."""
    rows = list(queryset.order_by("received_at", "id"))
    by_id = {row.id: row for row in rows}
    by_click = {click.id: click for click in clicks.values()}
    for row in rows:
        row.click = by_click[row.click_id] if row.click_id else None
        if row.original_id in by_id:
            row.original = by_id[row.original_id]
    return rows


def _hits(
    row: InboundRequest, connections: dict[int, NetworkConnection], accounts: dict[int, Account]
) -> Iterable[Conversion]:
    network = networks.get(row.slug)
    if network is None:
        raise LookupError(f"There is no network {row.slug} any more; its file was removed.")
    request = restore(row, base_url=settings.PUBLIC_BASE_URL)
    reading = read(request, network)
    items = reading.items or (Reported(click_id="", problem=Verdict.UNREADABLE, detail=reading.unreadable),)
    connection = connections.get(row.party_id) if row.party_id else None
    refusal = verdict_of(row.refusal)
    # Without a token in order, the account was only guessed from the click: it bounds nothing.
    route = read_route(request, PREFIX)
    bound = connection is not None or (route is not None and bool(route.account))
    for index, item in enumerate(items):
        yield Conversion(
            request_uid=row.uid,
            item=index,
            received_at=row.received_at,
            network=row.slug,
            bound_account=accounts.get(row.account_id) if bound and row.account_id else None,
            connection=connection,
            refusal=refusal or "",
            is_verified=row.proof == Proof.TOKEN and not refusal,
            query=(request.query.encode("latin-1", "replace") + (b"\n" + request.body if request.body else b""))[:8192],
            reply=bytes(row.answer).decode("utf-8", "replace")[:300],
            **_reported(item),
        )


def _reported(item: Reported) -> dict[str, object]:
    return {
        "click_ref": item.click_id,
        "click_text": item.click_text,
        "transaction_id": item.transaction_id,
        "event": item.event,
        "event_name": item.event_name,
        "offer_ref": item.offer_ref,
        "status_word": item.status_word,
        "reported_payout": item.payout,
        "payout": item.payout,
        "payout_text": item.payout_text,
        "currency": item.currency,
        "flags": list(item.flags),
        "verdict": item.problem or Verdict.WAITING,
        "detail": item.detail,
    }


def _matched(rows: list[InboundRequest]) -> set[str]:
    """The clicks that people gave to hits of these requests; only one that was worked off before can have such hits."""
    again = [row.uid for row in rows if row.processed_at]
    matched = Conversion.objects.filter(request_uid__in=again, flags__contains=[MATCHED])
    return set(matched.values_list("click_ref", flat=True)) if again else set()


def _renewed(known: Conversion | None, hit: Conversion, clicks: dict[str, Click]) -> Conversion:
    """The stored hit, unless it is settled, with today's reading of its request: credentials may have been mended since.

    What people decided stands: the connection it was assigned to, and the click it was matched with.
    """
    if known is None:
        return hit
    if _is_open(known, clicks):
        names = ["verdict", "detail"]
        if ASSIGNED not in known.flags:
            names += ["connection", "bound_account", "refusal", "is_verified"]
        for name in names:
            setattr(known, name, getattr(hit, name))
        if MATCHED in known.flags:
            known.verdict, known.detail = beyond_click(known)
    return known


def _is_open(hit: Conversion, clicks: dict[str, Click]) -> bool:
    """False for what is settled, and for what was matched by hand a moment ago, before its click could be locked here."""
    return not is_settled(hit) and (MATCHED not in hit.flags or hit.click_ref in clicks)


class Books:
    """How rows stood before they were judged, and by that: what to write, and what to add to the hourly totals."""

    def __init__(self, rows: Iterable[Conversion]) -> None:
        self._rows: list[Conversion] = []
        self._before: dict[int, tuple[tuple[object, ...], Contribution]] = {}
        # A settled hit is judged no more; among the earlier ones it may still be changed by others.
        self.open(row for row in rows if not is_settled(row))

    def open(self, rows: Iterable[Conversion]) -> None:
        for row in rows:
            self._rows.append(row)
            if row.pk:
                self._before[id(row)] = (_judged(row), _contribution(row))

    def close(self) -> None:
        changed = [row for row in self._rows if id(row) in self._before and _judged(row) != self._before[id(row)][0]]
        _insert([row for row in self._rows if id(row) not in self._before])
        Conversion.objects.bulk_update(changed, _JUDGED)
        totals = Totals()
        for row in self._rows:
            _, before = self._before.get(id(row), ((), {}))
            _add(totals, before, -1)
            _add(totals, _contribution(row), 1)
        totals.write()


def _judged(hit: Conversion) -> tuple[object, ...]:
    return tuple(getattr(hit, f"{name}_id", None) or getattr(hit, name) for name in _JUDGED)


def _insert(fresh: list[Conversion]) -> None:
    # A hit may refer to an original of its own batch, which has no id before it is inserted.
    while fresh:
        ready = [hit for hit in fresh if hit.original is None or hit.original.pk]
        fresh = [hit for hit in fresh if hit.original is not None and not hit.original.pk]
        Conversion.objects.bulk_create(ready)


Contribution = dict[Key, tuple[int, Decimal]]


def _contribution(hit: Conversion) -> Contribution:
    """What this hit adds to the hourly totals as it stands."""
    if hit.account_id is None or hit.is_test or hit.verdict == Verdict.WAITING:
        return {}
    place = (hit.account_id, hour_of(hit.received_at))
    found: Contribution = {Key(*place, f"postback_{hit.verdict}", 0, hit.connection_id or 0): (1, ZERO)}
    counts = hit.original if hit.kind == Conversion.Kind.ADJUSTMENT else hit
    if hit.kind and counts is not None:
        status = ConversionStatus(counts.status)
        kind = _KIND[status] + ("" if counts.is_verified or counts.is_accepted else "_unverified")
        n = 0 if hit.kind == Conversion.Kind.ADJUSTMENT or status == ConversionStatus.REVERSED else 1
        key = Key(*place, kind, hit.sending_list_id or 0, hit.connection_id or 0, hit.currency)
        found[key] = (n, hit.payout or ZERO)
    return found


def _add(totals: Totals, contribution: Contribution, sign: int) -> None:
    for key, (n, amount) in contribution.items():
        totals.add(key, sign * n, sign * amount)
