"""Owns the story of a raw request: whether it counted and why not, what became of it, and the exchange itself."""

from django.db.models import Q

from postbacks.models import Conversion, NetworkConnection
from sendinglists.models import Message, ProviderAccount
from trackly.retries import INBOUND
from trackly.showing import MOST as MOST_CHARACTERS
from trackly.showing import Badge, Phone, Raw, Shown, counted, decoded, lasting, money, tone_of, without_phones
from trackly.stories import Act, Exchange, Moment, Story, Table
from trackly.stories.rows import MOST, audit_moments, by_time, link, state_of
from trackly.stories.standings import label
from webhooks.inbound.models import Cause, DeliveryEvent, InboundRequest, ParkedReport, Proof, Reply, Source, State

# What the person reading a refusal should do.
FIX = {
    Cause.BAD_TOKEN: (
        "The URL the sender calls carries a token we do not know: give the sender the current URL of the provider account or "
        "connection. A replay carries the same token and changes nothing; a postback can be accepted or assigned by hand on its "
        "conversion's page."
    ),
    Cause.BAD_SIGNATURE: (
        "The credentials kept here are not those the sender signed with: a rotated token, a key of another sub-account, or a "
        "public address other than the one registered. Mend the provider account, then replay: it is verified again."
    ),
    Cause.UNPROVEN: "Nothing in the request proves who sent it. Register the callback URL with the token at the provider.",
    Cause.ADDRESS: "It came from an address that is not on the list. If it is the sender's, allow it here, then replay.",
    Cause.PLAIN_HTTP: "Change http to https in the URL at the sender. A replay cannot mend how it came.",
    Cause.UNREADABLE: "The body could not be read as what this provider sends; its text and the reason stand below.",
    Cause.UNKNOWN_ACCOUNT: "The id in ?account= belongs to nobody, or to a deleted account. Correct the URL at the sender.",
    Cause.WRONG_ACCOUNT: "The token belongs to another account than ?account= says. Correct the URL at the sender.",
}


def request_story(row: InboundRequest, *, may_replay: bool, may_allow: bool, is_revealed: bool) -> Story:
    return Story(
        state=standing_of(row),
        headline=_headline(row),
        why=tuple(sentence for sentence in (row.outcome, *_advice(row)) if sentence),
        facts=_facts(row),
        moments=tuple(_moments(row)),
        tables=tuple(table for table in _tables(row) if table.rows),
        exchange=exchange_of(row, is_revealed=is_revealed),
        acts=tuple(act for act in _acts(row) if may_allow or act.verb != "allow") if may_replay else (),
        holds_secrets=True,
        is_revealed=is_revealed,
    )


def standing_of(row: InboundRequest) -> Badge:
    """How it stands, in a word. Worked off and yet refused: a postback that does not count, or a batch not wholly readable."""
    if row.state == State.DONE and row.refusal:
        return Badge("Partly read", "wait") if row.source == Source.WEBHOOK else Badge("Not counted", "bad")
    return Badge(row.get_state_display(), tone_of(row.state))


def _headline(row: InboundRequest) -> str:
    said = (
        f"{'Postback' if row.source == Source.POSTBACK else 'Callback'} from {row.slug}, {counted(row.items, 'item')}"
    )
    if row.state == State.WAITING and row.attempts:
        return f"{said}: failed {counted(row.attempts, 'time')}, the next try is due."
    if row.state == State.WAITING and row.answer_status >= 300:
        return f"{said}: answered {row.answer_status}, and due again by a replay; the worker takes it within a second."
    if row.state == State.WAITING:
        return f"{said}: acknowledged and waiting for the worker, which takes it within a second."
    if row.state == State.FAILED:
        return f"{said}: failed {counted(row.attempts, 'time')} and is tried no more. Nothing of it counted."
    if row.state == State.REFUSED or (row.refusal and row.state == State.DONE):
        return f"{said}: {label(row.refusal) if row.refusal else 'refused'}."
    return f"{said}: {'discarded by hand' if row.state == State.DISCARDED else 'worked off'}."


def _advice(row: InboundRequest) -> tuple[str, ...]:
    if row.state == State.FAILED or (row.state == State.WAITING and row.attempts):
        waits = ", ".join(f"+{lasting(wait)}" for wait in INBOUND)
        return (
            f"The error: {row.error_line}",
            f"Tries are made at once, {waits}; then a replay is needed, which counts nothing twice.",
        )
    return (FIX[Cause(row.refusal)],) if row.refusal and row.state != State.DISCARDED else ()


def _facts(row: InboundRequest) -> tuple[tuple[str, Shown], ...]:
    return (
        ("Received", row.received_at),
        ("Request id", str(row.uid)),
        ("Account", link(row.account) or "Unrouted: it names no account"),
        ("Speaks for", party_link(row)),
        ("Proven by", Proof(row.proof).label),
        ("From", f"{row.peer} over {'https' if row.is_secure else 'plain http'}"),
        ("We answered", f"{row.answer_status} {short_answer(row)}"),
        ("Next try", row.due_at if row.state == State.WAITING else None),
        ("Worked off by version", row.version),
        (
            "Ids in it",
            Raw(", ".join(value for value in row.ids[:MOST] if not value.startswith("+"))) if row.ids else None,
        ),
        ("Phones in it", Phone(next((value for value in row.ids if value.startswith("+")), ""))),
    )


def short_answer(row: InboundRequest) -> str:
    return decoded(row.answer)[:160]


def party_link(row: InboundRequest) -> Shown:
    """The provider account or connection it speaks for."""
    model = NetworkConnection if row.source == Source.POSTBACK else ProviderAccount
    party = model._default_manager.filter(pk=row.party_id).first() if row.party_id else None
    return link(party) or "Nobody in particular"


def _moments(row: InboundRequest) -> list[Moment]:
    found = [
        Moment(
            at=row.received_at,
            what=f"Received and answered {row.answer_status}",
            detail=short_answer(row),
            source=row.peer,
        )
    ]
    found += audit_moments(row)
    if row.processed_at and row.state == State.DISCARDED:
        # What it came to before stands in the audit entries.
        found.append(Moment(at=row.processed_at, what="Worked off or judged", source=f"worker {row.version}"))
    elif row.processed_at and not (row.state == State.WAITING and not row.attempts):
        word = Badge(row.get_state_display(), tone_of(row.state))
        detail = row.error_line if row.state in (State.WAITING, State.FAILED) else row.outcome
        found.append(Moment(at=row.processed_at, what=word, detail=detail, source=f"worker {row.version}"))
    return sorted(found, key=lambda moment: by_time(moment.at))


def _tables(row: InboundRequest) -> list[Table]:
    if row.source == Source.POSTBACK:
        return [_conversions(row), _error(row)]
    messages = list(spoken_of(row))
    return [_events(row, messages), _replies(row), _parked(row), _error(row)]


def spoken_of(row: InboundRequest) -> list[Message]:
    """The messages this request names."""
    names = row.ids[:200]
    by_vendor = Q(provider_account_id=row.party_id, provider_message_id__in=names) if row.party_id else Q(pk__in=[])
    found = Message.objects.filter(Q(reference__in=names) | by_vendor)
    # Whose it is was decided when it was judged; a stranger's request shows nobody's messages.
    return list(found.filter(account_id=row.account_id)[:MOST]) if row.account_id else []


def _events(row: InboundRequest, messages: list[Message]) -> Table:
    entered: dict[int, list[DeliveryEvent]] = {}
    for event in DeliveryEvent.objects.filter(message__in=messages, request_uid=row.uid).order_by("id")[: MOST * 2]:
        entered.setdefault(event.message_id, []).append(event)
    rows: list[tuple[Shown, ...]] = []
    for message in messages:
        for event in entered.get(message.pk, []):
            said = link(event, f"event: {event.get_status_display().lower()}")
            rows.append((link(message), Phone(message.to), said, state_of(message, "status")))
        if message.pk not in entered:
            known = (
                "not believed: the request was refused"
                if row.state == State.REFUSED
                else "nothing new: it was known already"
            )
            rows.append((link(message), Phone(message.to), known, state_of(message, "status")))
    return Table(title="Messages it speaks of", columns=("Message", "To", "It said", "Stands at"), rows=rows, empty="")


def _replies(row: InboundRequest) -> Table:
    found = (
        Reply.objects.filter(provider_account_id=row.party_id, key__in=row.ids[:200])
        if row.party_id
        else Reply.objects.none()
    )
    rows: list[tuple[Shown, ...]] = [
        (link(reply, "reply"), Phone(reply.sender), state_of(reply, "decision"), reply.text[:200])
        for reply in found[:MOST]
    ]
    return Table(title="Replies in it", columns=("Reply", "From", "Decides", "Text"), rows=rows, empty="")


def _parked(row: InboundRequest) -> Table:
    found = ParkedReport.objects.filter(message_key__in=row.ids[:200], request_uid=row.uid)
    rows: list[tuple[Shown, ...]] = [
        (link(item, item.message_key), state_of(item, "status"), item.received_at) for item in found[:MOST]
    ]
    return Table(
        title="Reports that wait for their message", columns=("Names", "Says", "Received"), rows=rows, empty=""
    )


def _conversions(row: InboundRequest) -> Table:
    found = Conversion.objects.filter(request_uid=row.uid).select_related("click").order_by("item")
    rows: list[tuple[Shown, ...]] = [
        (
            link(hit, "conversion"),
            state_of(hit, "verdict"),
            hit.fix,
            money(hit.payout, hit.currency),
            link(hit.click) or hit.click_text,
            hit.transaction_id,
        )
        for hit in found[:MOST]
    ]
    columns = ("Conversion", "Verdict", "What to do", "Payout", "Click", "Transaction")
    return Table(title="What was judged of it", columns=columns, rows=rows, empty="")


def _error(row: InboundRequest) -> Table:
    rows: list[tuple[Shown, ...]] = [(Raw(row.last_error),)] if row.last_error else []
    return Table(title="The last error", columns=("Traceback",), rows=rows, empty="")


def _acts(row: InboundRequest) -> tuple[Act, ...]:
    acts = [
        Act(
            verb="replay",
            label="Replay",
            explain="Verified again with today's credentials; what counted counts no second time",
        )
    ]
    if row.refusal == Cause.ADDRESS and row.peer:
        acts.append(
            Act(
                verb="allow",
                label=f"Allow {row.peer} for {row.slug}",
                explain="Adds it to the address list of this sender",
            )
        )
    if row.state != State.DISCARDED and (row.refusal or row.state != State.DONE):
        acts.append(Act(verb="discard", label="Discard", ask="Why?", explain="Takes it out of the log of failures"))
    return tuple(acts)


def exchange_of(row: InboundRequest, *, is_revealed: bool, is_whole: bool = False) -> Exchange:
    """Both sides as text: what a page shows, or whole. Tokens were taken out before it was stored; phones are masked here."""
    query = decoded(row.query)
    line = f"{row.method} {decoded(row.path)}{'?' if query else ''}{query} HTTP/1.1"
    headers = decoded(row.headers).replace("\r\n", "\n")
    body = decoded(row.body) if is_whole else decoded(bytes(row.body)[:MOST_CHARACTERS])
    request, answer = f"{line}\n{headers}\n{body}", f"{row.answer_status}\n{decoded(row.answer)}"
    if not is_revealed:
        phones = [value for value in row.ids if value.startswith("+")]
        request, answer = without_phones(request, phones), without_phones(answer, phones)
    return Exchange(request=request, answer=answer)
