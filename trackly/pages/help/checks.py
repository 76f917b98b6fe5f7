"""Owns troubleshooting: the questions people ask when data is missing, each a check that runs and says what to do."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from django.conf import settings
from django.http import Http404, HttpResponse

from postbacks.models import Conversion, NetworkConnection, Offer
from postbacks.verdicts import BY_REQUEST, FIX, Verdict
from sendinglists import setup
from sendinglists.models import ProviderAccount
from trackly.doctor import accounts, house
from trackly.doctor.findings import Finding, bad, good, named, note, warning, worst_first
from trackly.pages.calling_out import Busy, may_call
from trackly.pages.visits import MEMBER, Visit, page
from trackly.showing import ago, counted

# Among so many newest postbacks of a connection faults are looked for.
LOOKED_AT = 500
# Of an account with many, so many are examined; each may mean calls to a provider.
MOST = 20
_MISSED = (Verdict.UNKNOWN_CLICK, Verdict.EXPIRED_CLICK, Verdict.WRONG_ACCOUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question, and how it is answered."""

    key: str
    title: str
    look: Callable[[Visit], Iterable[Finding]]
    is_slow: bool = False
    """It calls a provider, or our own address from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A check that ran, or that could not begin."""

    check: Check
    findings: list[Finding]
    is_busy: bool = False
    """Another one is running; this one did not."""


def _address(visit: Visit) -> Iterable[Finding]:
    return house.address(may_call=True)


def _registered(visit: Visit) -> Iterator[Finding]:
    for row in _parties(visit):
        yield from named(row.name, accounts.registered(row))


def _credentials(visit: Visit) -> Iterator[Finding]:
    for row in _parties(visit):
        lacking = setup.missing(row)
        if lacking:
            yield bad(row.name, f"Not entered yet: {', '.join(lacking)}.", "Enter it on the page of these credentials.")
        elif row.check_cause:
            yield bad(
                row.name, row.check_cause, "Change the credentials on their page; they are tried before they are kept."
            )
        elif row.checked_at:
            yield good(row.name, f"The provider took them {ago(visit.now - row.checked_at)}.")
        else:
            yield note(row.name, "They were never tried.", "Check them on the page of these credentials.")


def _callbacks(visit: Visit) -> Iterator[Finding]:
    for row in _parties(visit):
        yield replace(accounts.heard(row, visit.now), about=row.name)


def _refused(visit: Visit) -> Iterator[Finding]:
    for row in _parties(visit):
        yield from (replace(finding, about=row.name) for finding in accounts.refused(row, visit.now))


def _tracking(visit: Visit) -> Iterator[Finding]:
    offers = visit.rows(Offer).filter(status=Offer.State.ACTIVE).select_related("connection").order_by("-id")
    for offer in offers[:MOST]:
        if offer.connection is None:
            said = "It belongs to no network, so the click id goes under click_id, which few networks give back."
            yield warning(offer.name, said, "Choose its network on the offer's page.")
        else:
            name = offer.connection.click_parameters[0] if offer.connection.click_parameters else "click_id"
            yield good(
                offer.name, f"Clicks lead on with the click id, under {name} unless the address names another place."
            )


def _postbacks(visit: Visit) -> Iterator[Finding]:
    for row in _connections(visit):
        yield from _verdicts(row, tuple(BY_REQUEST), "were not usable as they came")
        newest = Conversion.objects.filter(connection=row).order_by("-id").first()
        if newest is None:
            yield note(row.name, "Nothing ever came for it.", "Run the tester on the connection's page.")
        else:
            yield good(row.name, f"The newest postback came {ago(visit.now - newest.received_at)}.")


def _matched(visit: Visit) -> Iterator[Finding]:
    for row in _connections(visit):
        found = list(_verdicts(row, _MISSED, "belong to no click that counts"))
        yield from found or [good(row.name, f"All of the newest {LOOKED_AT} postbacks belong to clicks of yours.")]


def _verdicts(row: NetworkConnection, verdicts: tuple[str, ...], words: str) -> Iterator[Finding]:
    """How many of the newest postbacks have one of these verdicts, and what to do about each."""
    newest = Conversion.objects.filter(connection=row).order_by("-id").values_list("verdict", flat=True)[:LOOKED_AT]
    counts = Counter(verdict for verdict in newest if verdict in verdicts)
    for verdict, n in counts.most_common():
        said = f"{counted(n, 'postback')} of the newest {LOOKED_AT} {words}: {Verdict(verdict).label.lower()}."
        yield warning(row.name, said, FIX.get(Verdict(verdict), ""))


def _moving(visit: Visit) -> Iterator[Finding]:
    yield house.worker(visit.now)
    yield from house.queues(visit.now)


def _clock(visit: Visit) -> Iterator[Finding]:
    yield house.clock(visit.now)


# In the order in which a missing report or sale is looked for, from the outside in.
CHECKS = {
    check.key: check
    for check in (
        Check(key="address", title="Our address is reached from outside, over HTTPS", look=_address, is_slow=True),
        Check(
            key="registered", title="The webhook URL registered at the provider is ours", look=_registered, is_slow=True
        ),
        Check(key="credentials", title="The provider takes the credentials", look=_credentials),
        Check(key="callbacks", title="Messages are reported back", look=_callbacks),
        Check(key="refused", title="Nothing the provider sends is refused", look=_refused),
        Check(key="tracking", title="Tracking links carry the click id", look=_tracking),
        Check(key="postbacks", title="Postback URLs are right", look=_postbacks),
        Check(key="matched", title="Postbacks find their clicks", look=_matched),
        Check(key="moving", title="What arrives is worked off", look=_moving),
        Check(key="clock", title="The clocks agree", look=_clock),
    )
}


@page()
def troubleshoot(visit: Visit) -> HttpResponse:
    """The questions; `?run=1` answers them one by one, `?run=all` on the page itself, which takes as long as all of them."""
    run = visit.request.GET.get("run", "") if visit.may_change else ""
    context = {
        "title": "When data is missing",
        "checks": CHECKS.values(),
        "is_running": run == "1",
        "answers": _all(visit) if run == "all" else [],
        "has_address": bool(settings.PUBLIC_BASE_URL),
    }
    return visit.render("pages/help/troubleshoot.html", context)


@page(sees=MEMBER)
def one(visit: Visit, check: str) -> HttpResponse:
    """One question with its answer: a part of the page, or, without scripts, a page."""
    asked = CHECKS.get(check)
    if asked is None:
        raise Http404("There is no such check.")
    context = {"answer": _answer(visit, asked), "title": asked.title}
    return visit.render("pages/help/_answer.html" if visit.wants_part else "pages/help/answer.html", context)


def _all(visit: Visit) -> list[Answered]:
    """What needs no call is answered in any case."""
    try:
        with may_call(visit.account):
            return [_looked(visit, check) for check in CHECKS.values()]
    except Busy:
        return [_busy(check) if check.is_slow else _looked(visit, check) for check in CHECKS.values()]


def _answer(visit: Visit, check: Check) -> Answered:
    if not check.is_slow:
        return _looked(visit, check)
    try:
        with may_call(visit.account):
            return _looked(visit, check)
    except Busy:
        return _busy(check)


def _busy(check: Check) -> Answered:
    return Answered(check=check, findings=[], is_busy=True)


def _looked(visit: Visit, check: Check) -> Answered:
    return Answered(check=check, findings=worst_first(check.look(visit)))


def _parties(visit: Visit) -> list[ProviderAccount]:
    rows = visit.rows(ProviderAccount).filter(removed_at=None).select_related("account")
    return list(rows.order_by("id")[:MOST])


def _connections(visit: Visit) -> list[NetworkConnection]:
    return list(visit.rows(NetworkConnection).order_by("id")[:MOST])
