"""Owns how a row found is told in one line: when, what with the way to it, its state, and a sentence. Phones are masked."""

from postbacks.models import Click, Conversion, NetworkConnection
from sendinglists.models import Contact, Message, ProviderAccount, SendingList, Suppression
from sendinglists.models import Link as ShortLink
from trackly.models import Account
from trackly.showing import Badge, Link, Shown, money, phone, short, without_phones
from trackly.signing import token_hash
from trackly.stories.rows import state_of
from trackly.stories.terms import Terms
from trackly.support.ways import change_url
from webhooks.inbound.models import DeliveryEvent, InboundRequest, ParkedReport, Reply, State

Cells = tuple[Shown, ...]


def request(row: InboundRequest, terms: Terms) -> Cells:
    said = row.outcome or (str(row.get_refusal_display()) if row.refusal else "")
    if row.state == State.WAITING:
        said = f"Waits for the worker, tried {row.attempts} times." if row.attempts else "Waits for the worker."
    elif row.state == State.FAILED:
        said = row.error_line or said
    known = [value for value in row.ids[:50] if value.startswith("+")]
    return (
        row.received_at,
        Link(f"Request to {row.slug}", change_url(row)),
        state_of(row, "state"),
        short(without_phones(said, known), 200),
    )


def message(row: Message, terms: Terms) -> Cells:
    said = " · ".join(
        part for part in (row.status_detail, row.get_reason_display() if row.reason else "", row.error_text) if part
    )
    return (
        row.created_at,
        Link(f"Message {row.public_id} to {phone(row.to)}", change_url(row)),
        state_of(row, "status"),
        short(without_phones(said, [row.to]), 200),
    )


def event(row: DeliveryEvent, terms: Terms) -> Cells:
    said = " · ".join(part for part in (row.vendor_status, row.error_code, row.error_text) if part)
    return (
        row.received_at,
        Link(f"Event of message {row.message.public_id}", change_url(row)),
        state_of(row, "status"),
        short(without_phones(said, [row.message.to]), 200),
    )


def parked(row: ParkedReport, terms: Terms) -> Cells:
    said = row.error or "No message of ours has this id yet; it joins when one does."
    return (
        row.received_at,
        Link(f"Parked report of {short(row.message_key)}", change_url(row)),
        state_of(row, "status"),
        short(said, 200),
    )


def reply(row: Reply, terms: Terms) -> Cells:
    said = without_phones(row.text, [row.sender, row.recipient])
    return (
        row.received_at,
        Link(f"Reply from {phone(row.sender)}", change_url(row)),
        state_of(row, "decision"),
        short(said, 120),
    )


def click(row: Click, terms: Terms) -> Cells:
    who = Badge("bot", "note") if row.bot else Badge("person", "good")
    said = (
        f"Taken for a machine: {row.bot}."
        if row.bot
        else "Counted."
        if row.is_counted
        else "Opened again, not counted."
    )
    return (
        row.at,
        Link(f"Click {row.click_id}", change_url(row)),
        who,
        f"{said} Leads to {short(row.offer.name)}." if row.offer else said,
    )


def conversion(row: Conversion, terms: Terms) -> Cells:
    name = short(row.transaction_id) if row.transaction_id else "without transaction id"
    amount = money(row.payout if row.kind else row.reported_payout, row.currency)
    said = " · ".join(part for part in (amount, row.fix) if part)
    return row.received_at, Link(f"Conversion {name}", change_url(row)), state_of(row, "verdict"), short(said, 200)


def link(row: ShortLink, terms: Terms) -> Cells:
    leads = short(row.offer.name if row.offer else row.destination, 120)
    state = Badge("expires", "wait") if row.expires_at else Badge("lasts", "plain")
    return row.created_at, Link(f"Link {row.code}", change_url(row)), state, f"Leads to {leads}."


def contact(row: Contact, terms: Terms) -> Cells:
    return (
        row.created_at,
        Link(f"Contact {phone(row.phone)}", change_url(row)),
        None,
        "Its page shows each list it is on.",
    )


def suppression(row: Suppression, terms: Terms) -> Cells:
    state = Badge("closed", "bad") if row.is_active else Badge("open again", "plain")
    scope = f"the brand {short(row.brand)}" if row.brand else "the whole account"
    return (
        row.decided_at,
        Link(f"Suppression of {phone(row.phone)}", change_url(row)),
        state,
        f"For {scope}: {short(row.cause, 120)}",
    )


def sending_list(row: SendingList, terms: Terms) -> Cells:
    return (
        row.created_at,
        Link(f"Sending list {short(row.name)}", change_url(row)),
        state_of(row, "status"),
        "Our own number.",
    )


def provider_account(row: ProviderAccount, terms: Terms) -> Cells:
    said = _token_sentence(row, terms) or f"Provider {row.provider}."
    return (
        row.created_at,
        Link(f"Provider account {short(row.name)}", change_url(row)),
        state_of(row, "webhook_state"),
        said,
    )


def connection(row: NetworkConnection, terms: Terms) -> Cells:
    said = _token_sentence(row, terms) or f"Network {row.network}."
    return row.created_at, Link(f"Connection {short(row.name)}", change_url(row)), None, said


def _token_sentence(row: ProviderAccount | NetworkConnection, terms: Terms) -> str:
    """Which of its tokens was pasted; '' for none."""
    hashed = {token_hash(token) for token in terms.tokens}
    now_valid = row.callback_token_hash if isinstance(row, ProviderAccount) else row.postback_token_hash
    if bytes(now_valid) in hashed:
        return "The URL carries its valid token."
    if row.previous_token_hash is None or bytes(row.previous_token_hash) not in hashed:
        return ""
    until = row.previous_token_until
    return (
        f"The URL carries its former token, valid until {until:%Y-%m-%d %H:%M} UTC."
        if until
        else "The URL carries its former token."
    )


def account(row: Account, terms: Terms) -> Cells:
    return row.created_at, Link(f"Account {short(row.name)}", change_url(row)), state_of(row, "status"), ""
