"""Owns receive(): one postback becomes an HTTP answer and a row. Pure and total: any bytes give both.

A known network always gets 200 for what was stored, whatever its verdict: Everflow switches a postback off after 25 errors.
The answer is one sentence for the network's manager, who reads it in the network's log.
"""

from dataclasses import dataclass

from postbacks.directory import Found
from postbacks.networks.base import BadPayload, Network, Reported
from postbacks.verdicts import FIX, Verdict
from trackly.raw import RawRequest
from trackly.text import clean, echo
from webhooks.inbound.inbox import NO_ACCOUNT, NOTHING_KNOWN, Quota, Receipt, make_row
from webhooks.inbound.models import Cause, Proof, Source, State
from webhooks.inbound.routes import Route

_SECRET_HEADERS = frozenset({"authorization", "cookie"})
_TEXT = "text/plain; charset=utf-8"
_NOT_KEPT = "Not stored: too many hits without the token. Use the postback URL with the token."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a request says, or why it cannot be read."""

    items: tuple[Reported, ...] = ()
    unreadable: str = ""

    @property
    def click_ids(self) -> tuple[str, ...]:
        return tuple(item.click_id for item in self.items if item.click_id)


def read(request: RawRequest, network: Network) -> Reading:
    """The postbacks in a request; never raises."""
    try:
        return Reading(items=tuple(network.parse(request)))
    except BadPayload as error:
        return Reading(unreadable=clean(str(error), 300))


def receive(
    request: RawRequest, route: Route, network: Network, reading: Reading, found: Found, *, https_required: bool
) -> Receipt:
    """The answer and the row. A probe (HEAD) is logged and reports nothing."""
    cause, detail = refusal(request, route, found, https_required=https_required)
    account_id = _account(found)
    is_probe = request.method == "HEAD"
    text = "Probe noted; a conversion needs GET or POST." if is_probe else reply(network, reading, found, cause, detail)
    names_somebody = account_id is not None
    row = make_row(
        request,
        source=Source.POSTBACK,
        slug=route.slug,
        token=route.token,
        opened=f"~{found.party.id}" if found.party else "~",
        secret_headers=_SECRET_HEADERS,
        keep_secrets=bool(cause),
        ids=[value for item in reading.items for value in (item.click_id, item.transaction_id)],
        items=max(len(reading.items), 1),
        account_id=account_id,
        party_id=found.party.id if found.party else None,
        proof=Proof.TOKEN if found.party and not cause else Proof.NONE,
        refusal=cause,
        answer_status=200,
        answer=text.encode(),
        state=_state(is_probe=is_probe, is_judged=names_somebody or not cause),
        outcome="Probe" if is_probe else detail[:300],
    )
    return Receipt(
        status=200,
        content_type=_TEXT,
        answer=row.answer,
        row=row,
        quota=_quota(found, cause, names_somebody=names_somebody, is_probe=is_probe),
        over_quota=_over_quota(cause, detail, is_probe=is_probe),
    )


def refusal(request: RawRequest, route: Route, found: Found, *, https_required: bool) -> tuple[Cause, str]:
    """Why the hit may not count before its owner accepts it; (Cause.NONE, '') when nothing speaks against it."""
    if route.token and found.party is None:
        return (
            Cause.BAD_TOKEN,
            "the token in this URL is wrong or was withdrawn; ask the affiliate for the current URL.",
        )
    if route.account and found.account_id is None:
        return Cause.UNKNOWN_ACCOUNT, "no account has the id in ?account=; ask the affiliate for the current URL."
    if found.party and route.account and found.party.account_id != found.account_id:
        return Cause.WRONG_ACCOUNT, "the token belongs to another account than ?account=."
    if https_required and not request.secure:
        return Cause.PLAIN_HTTP, "it came over plain http; change http to https in the postback URL."
    if found.party and found.party.refuses(request.peer):
        return Cause.ADDRESS, "it came from an address that is not on the affiliate's list for this network."
    return Cause.NONE, ""


def reply(network: Network, reading: Reading, found: Found, cause: Cause, detail: str) -> str:
    """One sentence a network manager can act on."""
    if cause:
        return f"Stored, not counted: {detail}"
    if reading.unreadable:
        return f"Stored, not counted: {reading.unreadable}."
    item = reading.items[0]
    if item.problem:
        return _sentence(f"Stored, not counted: {item.detail or FIX.get(item.problem, item.problem.label)}", found)
    amount = f"payout {_amount(item)}" if item.payout is not None else "no payout, so the offer's default"
    text = f"Stored: click {echo(item.click_id)}, {amount}. It is judged within seconds; a repeat is not counted twice."
    return _sentence(text, found)


def _amount(item: Reported) -> str:
    """As it came; as it was read, where the echo would have to leave a comma out."""
    assert item.payout is not None
    return item.payout_text if echo(item.payout_text) == item.payout_text else f"{item.payout.normalize():f}"


def _sentence(text: str, found: Found) -> str:
    if found.party is not None:
        return text
    if _account(found) is None:
        return f"{text} This URL names no account: use the affiliate's postback URL with the token."
    return f"{text} It came without a token, so it is unverified."


def _account(found: Found) -> int | None:
    if found.party is not None:
        return found.party.account_id
    return found.account_id if found.account_id is not None else found.click_account_id


def _state(*, is_probe: bool, is_judged: bool) -> State:
    if is_probe:
        return State.DONE
    # Refused and naming nobody: kept as a sample, never a conversion.
    return State.WAITING if is_judged else State.REFUSED


def _quota(found: Found, cause: Cause, *, names_somebody: bool, is_probe: bool) -> Quota | None:
    if found.party is not None:
        return Quota(party_id=found.party.id) if cause or is_probe else None
    # Who holds one click must not use up what hits of the account's other clicks are kept by.
    if found.is_crowded or (is_probe and not cause) or (cause and not names_somebody):
        return Quota(party_id=NOTHING_KNOWN)
    if not cause and found.click_account_id is not None:
        return None
    # An account id is public and anybody can make up click ids; only a click that exists is worth an unbounded log.
    account_id = _account(found)
    if account_id is None:
        return Quota(party_id=NO_ACCOUNT)
    return Quota.of_account(account_id, by_click=account_id == found.click_account_id)


def _over_quota(cause: Cause, detail: str, *, is_probe: bool) -> tuple[int, bytes] | None:
    if is_probe:
        return None
    return (403, b"Not stored: " + detail.encode()) if cause else (429, _NOT_KEPT.encode())


def verdict_of(cause: str) -> Verdict | None:
    """The verdict of a refused hit; None when it was not refused."""
    if not cause:
        return None
    return {Cause.PLAIN_HTTP: Verdict.PLAIN_HTTP, Cause.ADDRESS: Verdict.IP_NOT_ALLOWED}.get(
        Cause(cause), Verdict.BAD_SECRET
    )
