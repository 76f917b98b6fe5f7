"""Owns record(): a batch of postbacks becomes conversions, judged under the lock of their clicks; and judging again."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from postbacks import networks
from postbacks.answering import PREFIX, verify_again
from postbacks.judging import Case, judge
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
    "judged_at", "account", "connection", "click", "offer", "message", "sending_list", "original", "transaction_id",
    "status", "payout", "currency", "verdict", "detail", "kind", "ordinal", "key", "is_verified", "is_accepted",
    "is_test", "is_late", "refusal",
]  # fmt: skip


def record(rows: list[InboundRequest], now: datetime) -> None:
    """Judge a batch within the caller's transaction; each row is told what came of it."""
    for row in rows:
        if row.refusal and not row.proof and not verify_again(row):
            row.state = State.REFUSED
    rows = [row for row in rows if row.state != State.REFUSED]
    hits = _gather(rows)
    settle([hit for hit in hits if not hit.kind], now)
    verdicts: dict[UUID, Counter[str]] = defaultdict(Counter)
    for hit in hits:
        verdicts[hit.request_uid][Verdict(hit.verdict).label.lower()] += 1
    for row in rows:
        row.outcome = ", ".join(f"{n} {what}" for what, n in verdicts[row.uid].items())


def _gather(rows: list[InboundRequest]) -> list[Conversion]:
    """The hits in these requests: new ones, or those a request made when it was worked off before."""
    connections = NetworkConnection.objects.in_bulk({row.party_id for row in rows if row.party_id})
    accounts = Account.objects.in_bulk({row.account_id for row in rows if row.account_id})
    related = Conversion.objects.select_related("account", "bound_account", "connection", "click")
    stored = {(hit.request_uid, hit.item): hit for hit in related.filter(request_uid__in=[row.uid for row in rows])}
    hits = []
    for row in rows:
        for hit in _hits(row, connections, accounts):
            known = stored.get((hit.request_uid, hit.item))
            hits.append(_renewed(known, hit) if known else hit)
    return hits


def settle(hits: list[Conversion], now: datetime) -> None:
    """Lock the clicks in the order of their ids, judge the hits in the order they came, write what changed."""
    cases = _Cases(hits)
    everything = [*cases.earlier, *hits]
    before = {id(hit): _contribution(hit) for hit in everything if hit.pk}
    known = {id(hit): _judged(hit) for hit in everything if hit.pk}
    for hit in sorted(hits, key=lambda hit: (hit.received_at, hit.request_uid, hit.item)):
        case = cases.of(hit)
        judge(hit, case)
        hit.judged_at = now
        if case.click is not None:
            case.earlier.append(hit)
    _save(everything, known)
    totals = Totals()
    for hit in everything:
        _add(totals, before.get(id(hit), {}), -1)
        _add(totals, _contribution(hit), 1)
    totals.write()


def rejudge(queryset: QuerySet[Conversion], now: datetime) -> int:
    """Judge stored hits again with today's clicks, words and rules; how many. A hit that counts is left alone."""
    with transaction.atomic():
        related = queryset.select_related("account", "bound_account", "connection", "click")
        hits = list(related.filter(kind="").order_by("id")[:SWEEP_LIMIT])
        settle(hits, now)
    return len(hits)


def accept(queryset: QuerySet[Conversion], now: datetime) -> int:
    """Let held and refused hits count as if they had come with the token; how many were judged again."""
    taken = queryset.filter(kind="", verdict__in=[Verdict.HELD, *_REFUSALS])
    ids = list(taken.values_list("id", flat=True)[:SWEEP_LIMIT])
    with transaction.atomic():
        Conversion.objects.filter(id__in=ids).update(is_accepted=True)
        return rejudge(Conversion.objects.filter(id__in=ids), now)


def sweep_unknown(now: datetime, *, since: datetime) -> int:
    """Hits since then whose click is known by now: a postback may overtake the commit of its own click."""
    known = Click.objects.filter(click_id=OuterRef("click_ref"))
    unmatched = Conversion.objects.filter(verdict=Verdict.UNKNOWN_CLICK, received_at__gte=since)
    return rejudge(unmatched.filter(Exists(known)), now)


def sweep_unmapped(now: datetime) -> int:
    """Hits whose status word has been mapped since."""
    unmapped = Conversion.objects.filter(verdict=Verdict.STATUS_UNMAPPED, connection__isnull=False)
    return rejudge(unmapped.filter(connection__status_words__has_key=F("status_word")), now)


_REFUSALS = [Verdict.BAD_SECRET, Verdict.IP_NOT_ALLOWED, Verdict.PLAIN_HTTP]


class _Cases:
    """What each hit is judged by, fetched for the whole batch in four statements, the clicks locked first."""

    def __init__(self, hits: list[Conversion]) -> None:
        refs = {hit.click_ref for hit in hits if hit.click_ref}
        clicks = Click.objects.select_related("account", "offer__connection", "message", "sending_list", "link")
        locked = clicks.filter(click_id__in=refs).order_by("id").select_for_update(of=("self",), no_key=True)
        self.clicks = {click.click_id: click for click in locked} if refs else {}
        ids = [click.id for click in self.clicks.values()]
        judged = [hit.pk for hit in hits if hit.pk]
        self.earlier = _linked(Conversion.objects.filter(click_id__in=ids).exclude(id__in=judged), self.clicks)
        accounts = {click.account_id for click in self.clicks.values()}
        self.connections: dict[tuple[int, str], list[NetworkConnection]] = defaultdict(list)
        for connection in NetworkConnection.objects.filter(account_id__in=accounts).order_by("id"):
            self.connections[connection.account_id, connection.network].append(connection)
        self._cases: dict[tuple[str, str, int | None], Case] = {}
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


def _renewed(known: Conversion, hit: Conversion) -> Conversion:
    """The stored hit, unless it counts, with today's reading of its request: credentials may have been mended since."""
    if known.kind:
        return known
    for name in ("connection", "bound_account", "refusal", "is_verified", "verdict", "detail"):
        setattr(known, name, getattr(hit, name))
    return known


def _judged(hit: Conversion) -> tuple[object, ...]:
    return tuple(getattr(hit, f"{name}_id", None) or getattr(hit, name) for name in _JUDGED)


def _save(hits: list[Conversion], known: dict[int, tuple[object, ...]]) -> None:
    fresh = [hit for hit in hits if not hit.pk]
    # A hit may refer to an original of its own batch, which has no id before it is inserted.
    while fresh:
        ready = [hit for hit in fresh if hit.original is None or hit.original.pk]
        fresh = [hit for hit in fresh if hit.original is not None and not hit.original.pk]
        for hit in ready:
            hit.original = hit.original
        Conversion.objects.bulk_create(ready)
    changed = [hit for hit in hits if id(hit) in known and _judged(hit) != known[id(hit)]]
    Conversion.objects.bulk_update(changed, _JUDGED)


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
