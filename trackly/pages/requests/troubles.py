"""Owns the first sentence of the failed webhooks: who is refused most, since when, why, and what to do about it.

It is read from the hourly totals of the account's own senders, so it costs the same whatever came.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Min, Q, Sum

from postbacks.models import NetworkConnection
from postbacks.verdicts import FIX as VERDICT_FIX
from postbacks.verdicts import Verdict
from sendinglists.models import ProviderAccount
from trackly.pages.visits import Visit
from trackly.showing import ago, counted
from trackly.stories.requests import FIX
from webhooks.inbound.models import Cause, RequestTotal, Source, Standing

WITHIN = timedelta(hours=48)
_FINE = (Standing.ACCEPTED, Standing.PROBE, Standing.DISCARDED)
# More senders than anybody has.
_MOST = 2_000
_FAILED = (
    "The cause is ours. They are tried again by themselves for a while; then replay them. If it lasts, ask support."
)
_OVER_QUOTA = "So many were refused in a day that the rest is counted and not kept: mend the cause of the others first."


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """The reason that keeps out the most of them."""

    said: str
    fix: str
    cause: str
    """As the filter of the list knows it; '' where it cannot tell."""
    party: str


def cause_label(word: str) -> str:
    """Why it was refused, in words."""
    found = next((kind(word).label for kind in (Cause, Standing) if word and word in kind.values), word)
    return str(found)


def fix_of(source: str, word: str) -> str:
    """What to do about it; '' where nobody can tell."""
    if word == Standing.FAILED:
        return _FAILED
    if word == Standing.OVER_QUOTA:
        return _OVER_QUOTA
    if source == Source.POSTBACK and word in Verdict.values:
        return VERDICT_FIX.get(Verdict(word), "")
    return FIX.get(Cause(word), "") if word in Cause.values else ""


def parties(visit: Visit) -> list[tuple[str, int, str, str]]:
    """(source, id, slug, name) of every sender of the account."""
    sms = visit.rows(ProviderAccount).order_by("name", "id").values_list("id", "provider", "name")[:_MOST]
    networks = visit.rows(NetworkConnection).order_by("name", "id").values_list("id", "network", "name")[:_MOST]
    return [
        *((Source.WEBHOOK.value, key, slug, name) for key, slug, name in sms),
        *((Source.POSTBACK.value, key, slug, name) for key, slug, name in networks),
    ]


def worst(visit: Visit, senders: list[tuple[str, int, str, str]]) -> Trouble | None:
    """The reason with the most of them in 48 hours; None when nothing was refused."""
    whose = Q(pk__in=[])
    for source, slug in sorted({(source, slug) for source, _, slug, _ in senders}):
        ids = [key for of, key, its, _ in senders if (of, its) == (source, slug)]
        # 0: what names the account, and none of its senders.
        whose |= Q(source=source, slug=slug, party_id__in=[*ids, 0])
    totals = RequestTotal.objects.filter(whose, account_id=visit.account.pk, hour__gte=visit.now - WITHIN, n__gt=0)
    found = totals.exclude(standing__in=_FINE).values("source", "slug", "party_id", "standing")
    top = found.annotate(total=Sum("n"), since=Min("hour"), last=Max("last_at")).order_by("-total").first()
    if top is None:
        return None
    names = {(source, key): name for source, key, _, name in senders}
    source, party_id, word = top["source"], top["party_id"], top["standing"]
    return Trouble(
        said=_said(visit, source, names.get((source, party_id), ""), word, top["total"], top["since"], top["last"]),
        fix=fix_of(source, word),
        cause="" if word in Standing.values else word,
        party=f"{source}-{party_id}" if party_id else "",
    )


def _said(visit: Visit, source: str, name: str, word: str, n: int, since: datetime, last: datetime) -> str:
    what = counted(n, "postback" if source == Source.POSTBACK else "callback")
    of = f" of {name}" if name else " that name none of your senders"
    verb = "failed" if word == Standing.FAILED else "was refused" if n == 1 else "were refused"
    begun = f"{since.astimezone(visit.zone):%b %d, %H:%M}"
    # Only the beginning: a URL stays one.
    label = cause_label(word)
    why = "" if word == Standing.FAILED else f": {label[:1].lower()}{label[1:]}"
    return f"{what}{of} {verb} since {begun}, the last {ago(visit.now - last)}{why}."
