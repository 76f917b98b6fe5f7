"""Owns receive(): one request from an SMS provider becomes an HTTP answer and a row. Pure and total: any bytes give both.

Who may speak: the holder of the token in the URL (Twilio must sign as well), whoever signs with an account's credentials,
a report that names our secret reference, or, where the owner waived proof, anybody who knows the account id.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from trackly.parties import Party
from trackly.phones import e164
from trackly.raw import RawRequest
from trackly.text import clean
from webhooks.inbound.directory import Found
from webhooks.inbound.inbox import NOTHING_KNOWN, Quota, Receipt, make_row
from webhooks.inbound.models import Cause, Proof, Source, State
from webhooks.inbound.routes import Route
from webhooks.providers.base import BadPayload, BadSignature, Provider
from webhooks.statuses import Item, Reply, Report, Unreadable

_REFERENCE = re.compile(r"[a-z2-7]{26}")
# A refused request may have carried its secret in any header, also one nobody has configured yet; not in these.
_ORDINARY = frozenset(
    ["accept", "accept-encoding", "accept-language", "connection", "content-encoding", "content-length", "content-type"]
    + ["date", "forwarded", "host", "traceparent", "transfer-encoding", "user-agent", "via", "x-forwarded-for"]
    + ["x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-request-id"]
)
_STATUS = {Cause.UNREADABLE: 400, Cause.UNKNOWN_ACCOUNT: 404}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who a request turned out to speak for, or why it may not."""

    party: Party | None = None
    proof: Proof = Proof.NONE
    cause: Cause = Cause.NONE
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a request says, or why it cannot be read."""

    items: tuple[Item, ...] = ()
    unreadable: str = ""


def read(request: RawRequest, provider: Provider) -> Reading:
    """The items of a request; never raises."""
    try:
        return Reading(items=tuple(provider.parse(request)))
    except BadPayload as error:
        return Reading(unreadable=clean(str(error), 300))


def receive(
    request: RawRequest,
    route: Route,
    provider: Provider,
    reading: Reading,
    found: Found,
    *,
    now: datetime,
    https_required: bool,
) -> Receipt:
    """The answer and the row. A 403 or 404 lists what could still tell whose it is, for a second look at the tables."""
    claim = identify(request, route, provider, found, now=now)
    if not claim.cause:
        claim = _admit(request, found, claim, https_required=https_required)
    if not claim.cause and reading.unreadable:
        claim = Claim(party=claim.party, proof=claim.proof, cause=Cause.UNREADABLE, detail=reading.unreadable)
    return _refuse(request, route, provider, found, reading.items, claim) if claim.cause else _accept(
        request, route, provider, found, reading.items, claim
    )  # fmt: skip


def identify(request: RawRequest, route: Route, provider: Provider, found: Found, *, now: datetime) -> Claim:
    """Whom the request may speak for. Only the credentials decide; addresses and transport come after."""
    if route.account and found.account_id is None:
        return Claim(cause=Cause.UNKNOWN_ACCOUNT, detail="No account has this id.")
    if route.token:
        return _by_token(request, route, provider, found, now=now)
    for party in found.parties:
        if _signed(request, provider, party, now=now):
            return Claim(party=party, proof=Proof.SIGNATURE)
    if found.referenced and provider.token_suffices:
        only = found.referenced[0] if len(found.referenced) == 1 else None
        return Claim(party=only, proof=Proof.REFERENCE)
    waived = [party for party in found.parties if not party.demands_proof and provider.token_suffices]
    if route.account and len(waived) == 1:
        return Claim(party=waived[0], proof=Proof.WAIVED)
    if found.parties:
        return Claim(cause=Cause.BAD_SIGNATURE, detail="Neither a token nor a signature or credentials that match.")
    return Claim(cause=Cause.UNPROVEN, detail="Nothing in it proves who sent it; use the callback URL with the token.")


def _by_token(request: RawRequest, route: Route, provider: Provider, found: Found, *, now: datetime) -> Claim:
    if not found.parties:
        return Claim(cause=Cause.BAD_TOKEN, detail="The token in the URL is wrong or was withdrawn.")
    party = found.parties[0]
    if route.account and party.account_id != found.account_id:
        return Claim(cause=Cause.WRONG_ACCOUNT, detail="The token belongs to another account than ?account=.")
    if provider.token_suffices:
        return Claim(party=party, proof=Proof.TOKEN)
    if _signed(request, provider, party, now=now):
        return Claim(party=party, proof=Proof.SIGNATURE)
    return Claim(cause=Cause.BAD_SIGNATURE, detail="The signature does not match; this provider always signs.")


def _signed(request: RawRequest, provider: Provider, party: Party, *, now: datetime) -> bool:
    for config in party.configs:
        try:
            provider.verify(request, config, now=now)
        except BadSignature:
            continue
        return True
    return False


def _admit(request: RawRequest, found: Found, claim: Claim, *, https_required: bool) -> Claim:
    """The claim, or its refusal because of the way it came."""
    spoken_for = (claim.party,) if claim.party else found.referenced
    if https_required and not request.secure:
        cause, detail = Cause.PLAIN_HTTP, "It came over plain http; change the URL to https."
    elif any(party.refuses(request.peer) for party in spoken_for):
        cause, detail = Cause.ADDRESS, f"{request.peer or 'A local socket'} is not on the provider's address list."
    else:
        return claim
    return Claim(party=claim.party, cause=cause, detail=detail)


def _accept(
    request: RawRequest, route: Route, provider: Provider, found: Found, items: Sequence[Item], claim: Claim
) -> Receipt:
    content_type, answer = provider.reply
    elsewhere = claim.party is not None and claim.party.is_elsewhere(request.peer)
    row = make_row(
        request,
        source=Source.WEBHOOK,
        slug=route.slug,
        token=route.token,
        opened=f"~{claim.party.id}" if claim.party else "~",
        secret_headers=_secret_headers(request, provider, found),
        keep_secrets=False,
        ids=ids_of(items),
        items=max(len(items), 1),
        account_id=claim.party.account_id if claim.party else found.account_id,
        party_id=claim.party.id if claim.party else None,
        proof=claim.proof,
        # Some items of a readable batch may make no sense: it counts, and stands in the log of failures as well.
        refusal=Cause.UNREADABLE if any(isinstance(item, Unreadable) for item in items) else Cause.NONE,
        answer_status=200,
        answer=answer,
        state=State.WAITING,
        outcome=f"{request.peer} is not on the provider's address list." if elsewhere else "",
    )
    return Receipt(status=200, content_type=content_type, answer=answer, row=row)


def _refuse(
    request: RawRequest, route: Route, provider: Provider, found: Found, items: Sequence[Item], claim: Claim
) -> Receipt:
    status = _STATUS.get(claim.cause, 403)
    answer = json.dumps({"status": "refused", "detail": claim.detail}).encode()
    candidates = (claim.party,) if claim.party else found.parties + found.referenced
    known = _owner(candidates)
    row = make_row(
        request,
        source=Source.WEBHOOK,
        slug=route.slug,
        token=route.token,
        opened="~",
        secret_headers=_secret_headers(request, provider, found) | {name for name, _ in request.headers} - _ORDINARY,
        keep_secrets=True,
        ids=ids_of(items),
        items=max(len(items), 1),
        account_id=known.account_id if known else found.account_id,
        party_id=known.id if known else None,
        proof=claim.proof,
        refusal=claim.cause,
        answer_status=status,
        answer=answer,
        state=State.REFUSED,
        outcome=claim.detail[:300],
    )
    return Receipt(
        status=status,
        content_type="application/json",
        answer=answer,
        row=row,
        # Whose it is may be open; it is kept up to the day's quota all the same, or a twin of A's would cost A its evidence.
        quota=Quota(party_id=candidates[0].id if candidates else NOTHING_KNOWN),
        references=references_of(items) if _may_name(route, provider, claim) else (),
    )


def _owner(candidates: tuple[Party, ...]) -> Party | None:
    """Who is shown a refused request: the first candidate; None when they are of several accounts.

    None of them proved itself. Anybody may type another's vendor account id into its settings, and must not see by that
    what the other one's people wrote.
    """
    return candidates[0] if len({party.account_id for party in candidates}) == 1 else None


def _may_name(route: Route, provider: Provider, claim: Claim) -> bool:
    """True when references are to be looked up: as proof, or behind a token that opens nothing, to tell whose request it is.

    There they prove nothing (see _by_token); but when a rotation goes wrong, its reports are kept where they are looked for.
    """
    return claim.cause == Cause.BAD_TOKEN if route.token else provider.token_suffices


def _secret_headers(request: RawRequest, provider: Provider, found: Found) -> frozenset[str]:
    configs = [config for party in found.parties + found.referenced for config in party.configs]
    named = provider.secret_headers.union(*(provider.secret_header_names(config) for config in configs))
    # Under whatever name it comes: who renames the header in the settings must not read its value here.
    held = {config.get(item.name) for config in configs for item in provider.config if item.secret} - {None, ""}
    found_out = {name for name, value in request.headers if any(secret in value for secret in held if secret)}
    return named | (found_out - _ORDINARY)


def ids_of(items: Sequence[Item]) -> list[str]:
    """By what support will search for this request."""
    ids: list[str] = []
    for item in items:
        if isinstance(item, Report):
            ids += [item.message_key, e164(item.to)]
        elif isinstance(item, Reply):
            ids += [item.key, e164(item.sender), item.reference]
    return ids


def references_of(items: Sequence[Item]) -> tuple[str, ...]:
    """Message keys of the shape only we mint."""
    keys = (item.message_key for item in items if isinstance(item, Report))
    return tuple(dict.fromkeys(key for key in keys if _REFERENCE.fullmatch(key)))
