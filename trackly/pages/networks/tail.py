"""Owns the live tail of a connection: whatever arrives for it while somebody looks, each hit with its verdict and its query."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from postbacks.models import Conversion, NetworkConnection
from trackly.pages.telling import without_secret_words
from trackly.pages.visits import Visit
from trackly.showing import Badge, Raw, Shown, To, decoded, plain
from trackly.stories.rows import link, request_link, state_of
from webhooks.inbound.models import InboundRequest, Source, State

# Then nobody looks any more; a link begins anew.
LISTENS_FOR = timedelta(hours=1)
# So many of the account's newest postbacks are looked through, and so many hits shown.
_LOOKED_THROUGH = 500
_SHOWN = 25
_LONGEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One postback that arrived."""

    at: datetime
    state: Shown
    said: Shown
    query: Raw
    leads: To | None
    without_token: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    since: datetime
    hits: list[Hit]
    again: str
    """What to ask for next; '' when it has listened long enough."""


def read(visit: Visit, row: NetworkConnection) -> Tail:
    since = _since(visit)
    is_over = visit.now - since >= LISTENS_FOR
    again = visit.url("connection", row.pk, show="tail", since=int(since.timestamp()))
    return Tail(since=since, hits=_hits(visit, row, since), again="" if is_over else again)


def _since(visit: Visit) -> datetime:
    """When it began to listen: now, unless the address tells."""
    asked = visit.request.GET.get("since", "")
    # Where the page was only just opened, a hit of this very second belongs to it.
    began = visit.now.replace(microsecond=0)
    if asked.isascii() and asked.isdigit() and len(asked) < 12:
        began = min(datetime.fromtimestamp(int(asked), UTC), began)
    return max(began, visit.now - LISTENS_FOR)


def _hits(visit: Visit, row: NetworkConnection, since: datetime) -> list[Hit]:
    newest = visit.rows(InboundRequest).filter(source=Source.POSTBACK, received_at__gte=since).order_by("-received_at")
    lean = newest.defer("headers", "sealed", "last_error", "host", "path")[:_LOOKED_THROUGH]
    # One without a token speaks for nobody; it is told where its network is this one.
    mine = [item for item in lean if item.party_id == row.pk or (item.party_id is None and item.slug == row.network)]
    mine = mine[:_SHOWN]
    judged: dict[UUID, Conversion] = {}
    for hit in Conversion.objects.filter(request_uid__in=[item.uid for item in mine], item=0):
        judged[hit.request_uid] = hit
    secrets = [] if visit.may_change else [row.postback_token]
    return [_hit(item, judged.get(item.uid), secrets) for item in mine]


def _hit(item: InboundRequest, judged: Conversion | None, secrets: list[str]) -> Hit:
    return Hit(
        at=item.received_at,
        state=standing(item, judged),
        said=(judged.fix if judged else "") or decoded(item.answer),
        query=Raw(plain(without_secret_words(as_it_came(item), secrets), _LONGEST)),
        leads=link(judged, "Conversion") if judged else request_link(item.uid, "Request"),
        without_token=item.party_id is None,
    )


def standing(item: InboundRequest, judged: Conversion | None) -> Shown:
    """Its verdict, or how far it has come."""
    if judged is not None:
        return state_of(judged, "verdict")
    if item.state == State.WAITING:
        return Badge("Being judged", "wait")
    if item.refusal:
        return Badge(item.get_refusal_display(), "bad")
    return Badge(item.outcome[:60] or item.get_state_display(), "note" if item.state == State.DONE else "bad")


def as_it_came(item: InboundRequest) -> str:
    body = decoded(item.body)
    return f"{decoded(item.query)}\n{body}" if body else decoded(item.query)
