"""Owns what the sandbox sends in a run: reports and replies, signed or by secret URL, in batches, and some to be refused."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from sendinglists.models import ProviderAccount
from trackly.demo import book
from trackly.demo.book import kept
from trackly.demo.campaign import Campaign, Sent, list_of
from trackly.demo.reports import Step
from trackly.demo.sending import Call
from trackly.demo.stage import signing_key
from trackly.signing import new_token
from webhooks.inbound.answering import PREFIX
from webhooks.inbound.models import Cause, Source, State
from webhooks.providers.sandbox import HEADER, sign
from webhooks.statuses import Decision, Reason, Status

URL = f"{PREFIX}sandbox"
BATCH = 12
Event = dict[str, Any]


def early(campaign: Campaign) -> list[Call]:
    """Reports that overtake their messages. Said twice they are parked once, and enter once when the message comes."""
    calls = []
    for sent in campaign.sent:
        if sent.story.is_early:
            events = list(_events(sent))
            calls += [_by_token(campaign, sent.message.provider_account, event) for event in events]
            campaign.expected.add(book.PARKED, len(events))
    for reference in campaign.orphans:
        calls.append(_by_token(campaign, campaign.stage.plain, _orphan(campaign, reference)))
        campaign.expected.add(book.PARKED)
        campaign.expected.add(book.STILL_PARKED)
    return calls


def callbacks(campaign: Campaign) -> list[Call]:
    """Everything the provider says once the messages exist: the first reports of all, the second ones, and so on."""
    for sent in campaign.sent:
        _expect(campaign, sent)
    singles = [list(_singly(campaign, sent)) for sent in campaign.sent if not (sent.story.is_early or sent.is_batched)]
    calls = [
        calls[place] for place in range(max(map(len, singles), default=0)) for calls in singles if place < len(calls)
    ]
    calls += _batches(campaign)
    calls += [call for sent in campaign.sent if sent.reply for call in _replies(campaign, sent)]
    for call in [*_mistaken(campaign), *_refused(campaign)]:
        calls.insert(campaign.rng.randrange(len(calls) + 1), call)
    return calls


def _expect(campaign: Campaign, sent: Sent) -> None:
    """What the reports of one message come to; of those that were parked, only what they entered."""
    story, expected = sent.story, campaign.expected
    expected.add(book.status(story.ends), total="" if story.ends == Status.QUEUED else f"message_{story.ends}")
    if story.steps:
        expected.add(book.ENTERED, len(story.steps), total="report")
    repeats = 0 if story.is_early else sum(step.times - 1 for step in story.steps)
    if repeats:
        expected.add(book.REPEATED, repeats, total="report_duplicate")
    for step in story.steps:
        if step.word not in Status:
            expected.add(book.UNKNOWN_WORD)
        if step.code == Reason.OPT_OUT:
            expected.add(book.OPTED_OUT_BY_CODE, total="opt_out")
            expected.add(book.OUT_AT_THE_END)
            if list_of(sent.message).opt_out_scope != "list":
                expected.add(book.CLOSED)


def _events(sent: Sent) -> Iterator[Event]:
    key = sent.message.provider_message_id if sent.story.by_vendor_id else sent.message.reference
    for step in sent.story.steps:
        for _ in range(step.times):
            yield _report(key, step, sent.message.created_at, sent.message.to)


def _report(key: str, step: Step, made: datetime, to: str) -> Event:
    event: Event = {"type": "report", "message": key, "status": step.word, "to": to}
    if step.after_s is not None:
        event["at"] = (made + timedelta(seconds=step.after_s)).isoformat(timespec="seconds")
    if step.code:
        event["error"] = {"code": step.code, "text": Reason(step.code).label}
    return event


def _orphan(campaign: Campaign, reference: str) -> Event:
    return _report(reference, Step("delivered", 9), campaign.now - timedelta(hours=1), "+12015550199")


def _singly(campaign: Campaign, sent: Sent) -> Iterator[Call]:
    """One request a report, by the doors its provider account may use."""
    party = sent.message.provider_account
    for event in _events(sent):
        if party == campaign.stage.signing and campaign.rng.random() < 0.6:
            yield _by_signature(campaign, party, event)
        elif not sent.story.by_vendor_id and campaign.rng.random() < 0.1:
            # The bare URL: what proves it is that it names a reference of ours.
            yield _call(campaign, URL, _body(event))
        else:
            yield _by_token(campaign, party, event)


def _batches(campaign: Campaign) -> Iterator[Call]:
    """Several events a request; every second of them has one that makes no sense, and the others count all the same."""
    for party in (campaign.stage.plain, campaign.stage.signing):
        batched = [sent for sent in campaign.sent if sent.is_batched and sent.message.provider_account == party]
        events = [event for sent in batched for event in _events(sent)]
        campaign.rng.shuffle(events)
        for start in range(0, len(events), BATCH):
            chunk, is_odd = events[start : start + BATCH], start // BATCH % 2 == 0
            if is_odd:
                chunk.append({"type": "report", "status": "delivered"})
                campaign.expected.add(book.UNREADABLE)
            cause = Cause.UNREADABLE if is_odd else Cause.NONE
            yield _by_token(campaign, party, *chunk, cause=cause)


def _replies(campaign: Campaign, sent: Sent) -> Iterator[Call]:
    """What one person writes; each text is one SMS with one id, however often it is delivered to us."""
    story, party, to_list = sent.reply, sent.message.provider_account, list_of(sent.message)
    assert story is not None
    number = "+18005550199" if story.to_unknown_number else to_list.number
    if story.ends_out and (story.to_unknown_number or to_list.opt_out_scope != "list"):
        campaign.expected.add(book.CLOSED)
    if story.ends_out and not story.to_unknown_number:
        campaign.expected.add(book.OUT_AT_THE_END)
    for place, text in enumerate(story.texts, start=1):
        at = sent.message.created_at + timedelta(minutes=5 + place)
        event = {"type": "reply", "id": new_token(), "from": sent.message.to, "to": number, "text": text.words,
                 "at": at.isoformat(timespec="seconds")}  # fmt: skip
        _expect_text(campaign, text.decision, text.times, is_on_a_list=not story.to_unknown_number)
        by = _by_signature if party == campaign.stage.signing else _by_token
        yield from (by(campaign, party, event) for _ in range(text.times))


def _expect_text(campaign: Campaign, decision: Decision, times: int, *, is_on_a_list: bool) -> None:
    campaign.expected.add(book.REPLY_NEW, total="reply")
    campaign.expected.add(book.decision(decision))
    if times > 1:
        campaign.expected.add(book.REPLY_REPEATED, times - 1)
    if is_on_a_list and decision == Decision.OPT_OUT:
        campaign.expected.add(book.OPTED_OUT_BY_REPLY, total="opt_out")
    if is_on_a_list and decision == Decision.OPT_IN:
        campaign.expected.add(book.OPTED_IN, total="opt_in")


def _mistaken(campaign: Campaign) -> Iterator[Call]:
    """Let in, and worked off without any effect: one provider account speaks about a message of the other."""
    signing = campaign.stage.signing
    others = [sent for sent in campaign.sent if sent.message.provider_account == signing]
    for sent in others[: campaign.scale]:
        campaign.expected.add(book.ANOTHERS)
        yield _by_token(campaign, campaign.stage.plain, _about(sent))


def _refused(campaign: Campaign) -> Iterator[Call]:
    """A withdrawn token, a forged and a stale signature, bodies nobody can read, a provider we do not have."""
    plain, signing, rng = campaign.stage.plain, campaign.stage.signing, campaign.rng
    account = f"{URL}?account={campaign.stage.account.public_id}"
    for _ in range(2 * campaign.scale):
        about = _body(_about(rng.choice(campaign.sent)))
        # Kept where it is looked for, because of the references it names.
        yield _call(campaign, f"{URL}/{new_token()}", about, status=403, refused=Cause.BAD_TOKEN)
        # What proves nothing by a reference is all that a forged signature can be shown with.
        forged = _body(
            {"type": "reply", "id": new_token(), "from": "+12015550198", "to": "+18005550153", "text": "STOP"}
        )
        yield _call(campaign, account, forged, status=403, refused=Cause.BAD_SIGNATURE, signed_by=new_token())
        stale = {HEADER: sign(signing_key(signing), forged, campaign.now - timedelta(minutes=11))}
        yield _call(campaign, account, forged, status=403, refused=Cause.BAD_SIGNATURE, headers=stale)
        broken = rng.choice([about[:-9], b"status=delivered&id=1", b'{"events": "all delivered"}', b""])
        yield _call(campaign, _token_url(plain), broken, status=400, refused=Cause.UNREADABLE)
    yield Call(kind=book.CALLBACKS, target=f"{PREFIX}pigeon-post/{new_token()}", status=404, body=b"{}")


def _about(sent: Sent) -> Event:
    return _report(sent.message.reference, Step("delivered", 9), sent.message.created_at, sent.message.to)


def _by_token(campaign: Campaign, party: ProviderAccount, *events: Event, cause: Cause = Cause.NONE) -> Call:
    return _call(campaign, _token_url(party), _body(*events), cause=cause)


def _by_signature(campaign: Campaign, party: ProviderAccount, event: Event) -> Call:
    url = f"{URL}?account={campaign.stage.account.public_id}"
    return _call(campaign, url, _body(event), signed_by=signing_key(party))


def _token_url(party: ProviderAccount) -> str:
    return f"{URL}/{party.callback_token}"


def _body(*events: Event) -> bytes:
    said: Iterable[Event] | Event = {"events": events} if len(events) > 1 else events[0]
    return json.dumps(said).encode()


def _call(
    campaign: Campaign,
    target: str,
    body: bytes,
    *,
    status: int = 200,
    cause: Cause = Cause.NONE,
    refused: Cause = Cause.NONE,
    signed_by: str = "",
    headers: dict[str, str] | None = None,
) -> Call:
    """`cause` stands beside a request that counts in part, `refused` on one that does not."""
    state = State.REFUSED if refused else State.DONE
    return Call(
        kind=book.CALLBACKS,
        target=target,
        status=status,
        headers={"User-Agent": campaign.agent, "Content-Type": "application/json", **(headers or {})},
        body=body,
        signing_key=signed_by,
        kept=kept(Source.WEBHOOK, state, refused or cause),
    )
