"""Owns a message at Twilio: handing it over, asking for its state, and the report in Twilio's message resource."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from trackly.calls import Answer, Dialogue
from webhooks.orders import Asked, Sent, Text, Verdict
from webhooks.providers.base import Config, time_of
from webhooks.providers.twilio.rest import (
    REPEATS,
    Problem,
    Refused,
    address,
    fetch,
    fields_in,
    get,
    post,
    problem_in,
    sid_of,
    unanswered,
    word,
)  # fmt: skip
from webhooks.providers.twilio.tables import ERRORS, STATUSES
from webhooks.statuses import Reason, Report, Status

_PRICE = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?")


def send(text: Text, config: Config) -> Dialogue[Sent]:
    fields = {"To": text.to, "From": text.sender, "Body": text.body, "StatusCallback": callback(text)}
    service = config.get("messaging_service_sid")
    if service:
        # With From too: the service alone would choose any of its numbers, and replies would come to another list.
        fields["MessagingServiceSid"] = service
    answer = yield post(address(config, "Messages.json"), config, fields)
    return _taken(text, answer) if 200 <= answer.status < 300 else _not_taken(text, answer)


def callback(text: Text) -> str:
    """Where its reports go. Our public name of it is in there, so that a report finds it also when this call is never
    answered and we never learn Twilio's name of it."""
    sign = "&" if "?" in text.callback_url else "?"
    return f"{text.callback_url}{sign}message={text.public_id}{REPEATS}"


def ask(asked: Asked, config: Config) -> Dialogue[list[Report]]:
    """Raises Unanswered where Twilio says nothing about the message now."""
    if not sid_of({"sid": asked.provider_message_id}):
        # A list by To, From and date cannot tell two texts to one person apart, and none of its fields holds a name of
        # ours. Only `message` in the callback's URL does.
        return []
    try:
        fields = yield from fetch(get(address(config, f"Messages/{asked.provider_message_id}.json"), config))
    except Refused as refusal:
        if refusal.problem.status == 404:
            return []
        raise unanswered(refusal.problem) from refusal
    if sid_of(fields) != asked.provider_message_id or not word(fields.get("status")):
        raise unanswered(Problem(200, "", ""))
    return [reported(asked.reference, fields)]


def reported(message_key: str, fields: dict[str, Any]) -> Report:
    """What a message resource says."""
    sid, said, updated = sid_of(fields), word(fields.get("status")), word(fields.get("date_updated"))
    code, title, reason = judged(word(fields.get("error_code")))
    price, currency = _price(fields)
    return Report(
        message_key=message_key,
        status=STATUSES.get(said.lower(), Status.UNKNOWN),
        vendor_status=said,
        at=_time(updated),
        reason=reason,
        error_code=code,
        error_text=title or (word(fields.get("error_message")) if code else ""),
        to=word(fields.get("to")),
        sender=word(fields.get("from")),
        segments=_segments(fields),
        price=price,
        currency=currency,
        identity=(sid, said, code, updated),
    )


def judged(code: str) -> tuple[str, str, Reason | None]:
    """An error code, its title ('' when we do not know it) and our reason; '' and None for no error."""
    code = code.strip()
    if code in {"", "0"}:
        return "", "", None
    return code, *ERRORS.get(code, ("", Reason.OTHER))


def _taken(text: Text, answer: Answer) -> Sent:
    fields = fields_in(answer)
    if not sid_of(fields):
        return _unclear(text, problem_in(answer))
    return Sent(verdict=Verdict.ACCEPTED, report=reported(text.reference, fields), provider_message_id=sid_of(fields))


def _not_taken(text: Text, answer: Answer) -> Sent:
    problem = problem_in(answer)
    if not 400 <= answer.status < 500 or answer.status == 408:
        return _unclear(text, problem)
    later = problem.is_busy or problem.is_about_credentials
    code, _, reason = judged(problem.code)
    report = Report(
        message_key=text.reference,
        # Nothing is said of a message that is only kept waiting.
        status=Status.UNKNOWN if later else Status.REJECTED,
        vendor_status=f"HTTP {answer.status}",
        reason=reason or (Reason.THROTTLED if problem.is_busy else Reason.OTHER),
        error_code=code,
        error_text=f"{problem.said} {problem.fix}".rstrip(),
        to=text.to,
        sender=text.sender,
    )
    return Sent(verdict=Verdict.LATER if later else Verdict.REFUSED, report=report, retry_after=_retry_after(answer))


def _unclear(text: Text, problem: Problem) -> Sent:
    words = (
        f"{problem.said} It may have taken the message, so it is not sent again; a report, if one comes, settles it."
    )
    report = Report(
        message_key=text.reference,
        status=Status.UNKNOWN,
        vendor_status=f"HTTP {problem.status}",
        error_text=words,
        to=text.to,
        sender=text.sender,
    )
    return Sent(verdict=Verdict.UNCLEAR, report=report)


def _retry_after(answer: Answer) -> timedelta | None:
    seconds = (answer.header("retry-after") or "").strip()
    if not re.fullmatch("[0-9]{1,6}", seconds):
        return None
    return timedelta(seconds=int(seconds))


def _segments(fields: dict[str, Any]) -> int | None:
    """None for 0 too: a Messaging Service has not counted yet when it accepts."""
    count = word(fields.get("num_segments"))
    return int(count) or None if re.fullmatch("[0-9]{1,3}", count) else None


def _price(fields: dict[str, Any]) -> tuple[Decimal | None, str]:
    """What it cost, which Twilio writes as a negative number, and the currency; nothing until it is known."""
    text = word(fields.get("price"))
    if not _PRICE.fullmatch(text):
        return None, ""
    return abs(Decimal(text)), word(fields.get("price_unit")).upper()


def _time(text: str) -> datetime | None:
    """An RFC 2822 time in UTC."""
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return time_of(at.isoformat(), UTC)
