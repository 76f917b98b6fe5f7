"""Owns a message at Infobip: handing it over by /sms/3/messages, and asking for its state in /sms/3/logs."""

from dataclasses import replace
from typing import Any

from trackly.calls import Dialogue, Unanswered
from webhooks.orders import Asked, Sent, Text, Verdict
from webhooks.providers.base import BadPayload, Config
from webhooks.providers.infobip.api import Api, Said, digits, fields_in, objects_in
from webhooks.providers.infobip.reading import report_of
from webhooks.statuses import Reason, Report, Status

SEND_SCOPES = "message:send, sms:message:send or sms:manage"
LOG_SCOPES = "sms:logs:read or sms:manage"
# Refused in the answer itself, by status.id within group 5: our reason, and what to do. From Infobip's page of status codes.
REFUSALS = {
    "6": (Reason.BLOCKED, "The network is outside the coverage of this Infobip account: ask your account manager."),
    "8": (Reason.INVALID_NUMBER, "The number's prefix is unknown: correct the number."),
    "10": (Reason.BLOCKED, "The number is on a do-not-disturb register."),
    "11": (Reason.REGISTRATION, "The sender is not registered with Infobip: register it, or choose another list."),
    "12": (Reason.CREDIT, "Not enough credit at Infobip: top the account up, then send it again."),
    "13": (Reason.BLOCKED, "Infobip blocks this sender: ask Infobip why."),
    "14": (Reason.OPT_OUT, "The number is on the do-not-contact list at Infobip."),
    "17": (Reason.CREDIT, "The prepaid credit at Infobip ran out of time: top the account up, then send it again."),
    "18": (
        Reason.REGISTRATION,
        "A trial account sends only to numbers registered at Infobip: register it, or upgrade.",
    ),
    "19": (Reason.BLOCKED, "The Infobip account has no route to this network: ask your account manager."),
    "20": (Reason.THROTTLED, "Too many messages to this number within an hour, or the same one too often: wait."),
    "25": (Reason.OTHER, "The text is longer than Infobip takes: shorten it."),
    "51": (Reason.INVALID_NUMBER, "There is no number: correct the contact."),
    "52": (Reason.INVALID_NUMBER, "The number is not valid: correct the contact."),
    "87": (
        Reason.SPAM,
        "Infobip's fraud protection blocks the number: allow it in Infobip Signals if it is a person's.",
    ),
}
# REJECTED_DUPLICATE_MESSAGE_ID: our reference was taken before. What is sent again was certainly not taken, so this means that
# a call of ours was carried out and we were told otherwise, as by a gateway between us. The first one lives on under the same
# reference and is reported and asked for by it; to call it refused would be wrong, to call it accepted a guess.
DUPLICATE = "23"
# REJECTED_SYSTEM_ERROR: "retry submission", says the page of status codes.
RETRY = "21"


def send(text: Text, config: Config) -> Dialogue[Sent]:
    api = Api.of(config, text.reference, text.callback_url.rpartition("/")[2])
    said = yield from api.ask("POST", "/sms/3/messages", body_of(text))
    return _answered(text, said, api) if said.is_good else _not_taken(text, said)


def body_of(text: Text) -> dict[str, Any]:
    # Intermediate reports are off, as by default: each is one more callback to say that a message is on its way, which the
    # answer to the send says already.
    delivery = {"url": text.callback_url, "intermediateReport": False, "notify": True}
    message = {
        "sender": digits(text.sender),
        "destinations": [{"to": digits(text.to), "messageId": text.reference}],
        "content": {"text": text.body},
        "webhooks": {"delivery": delivery, "contentType": "application/json", "callbackData": text.public_id},
    }
    # An account may shorten links by default: then clicks would be Infobip's and never reach us.
    options = {"tracking": {"shortenUrl": False}, "includeSmsCountInResponse": True}
    return {"messages": [message], "options": options}


def ask(asked: Asked, config: Config) -> Dialogue[list[Report]]:
    """Raises Unanswered where Infobip does not say. Not /sms/3/reports: that hands each report out once, to whoever asks."""
    api = Api.of(config, asked.reference)
    said = yield from api.ask("GET", "/sms/3/logs", messageId=asked.reference)
    results = fields_in(said.value).get("results")
    if not said.is_good or not isinstance(results, list):
        raise Unanswered(" ".join(said.problem(LOG_SCOPES)))
    own = [item for item in objects_in(results) if item.get("messageId") == asked.reference]
    return [report for item in own if (report := _read(item, api))]


def _read(item: dict[str, Any], api: Api) -> Report | None:
    """An item as a report; None when it makes no sense."""
    try:
        report = report_of(item)
    except (BadPayload, KeyError):
        return None
    if api.is_home:
        return report
    # Of a foreign host only numbers and what we made of them.
    quiet = replace(report, vendor_status=report.status.label, error_text="", currency="", sender="", to="")
    return replace(quiet, vendor_code=_number(report.vendor_code), error_code=_number(report.error_code))


def _number(code: str) -> str:
    return code if code.isascii() and code.isdigit() else ""


def _answered(text: Text, said: Said, api: Api) -> Sent:
    """What a 200 comes to: each message has a verdict of its own."""
    rows = objects_in(fields_in(said.value).get("messages"))
    row = next((row for row in rows if row.get("messageId") == text.reference), rows[0] if len(rows) == 1 else {})
    status, details = fields_in(row.get("status")), fields_in(row.get("details"))
    item = {"messageId": text.reference, "status": status, "messageCount": details.get("messageCount")}
    report = _read(item | {"to": text.to, "sender": text.sender}, api) if status else None
    if report is None:
        return _unclear(text, *said.problem(SEND_SCOPES), status=f"HTTP {said.status}")
    # An answer has neither time nor error of its own; who records it gives it a place.
    report = replace(report, identity=(), to=text.to, sender=text.sender)
    name = row.get("messageId") if api.is_home else text.reference
    sent = Sent(
        verdict=Verdict.ACCEPTED, report=report, provider_message_id=name if isinstance(name, str) else text.reference
    )
    if report.status in (Status.ACCEPTED, Status.DELIVERED):
        return sent
    if report.vendor_code == DUPLICATE:
        return _unclear(text, "Infobip has a message of this reference already.", "", report.vendor_status)
    if report.status == Status.UNKNOWN:
        return _unclear(text, "Infobip answered with a status we do not know.", "", report.vendor_status)
    return _refused(sent)


def _refused(sent: Sent) -> Sent:
    report, code = sent.report, sent.report.vendor_code
    if code == RETRY:
        words = "Infobip had a fault of its own and did not take it; it is tried again by itself."
        waiting = replace(report, status=Status.UNKNOWN, reason=Reason.OTHER, error_text=words)
        return Sent(verdict=Verdict.LATER, report=waiting)
    reason, words = REFUSALS.get(code, (Reason.OTHER, f"Infobip refused it: {report.vendor_status}."))
    refused = replace(report, status=Status.REJECTED, reason=reason, error_text=words)
    return replace(sent, verdict=Verdict.REFUSED, report=refused)


def _not_taken(text: Text, said: Said) -> Sent:
    words, fix = said.problem(SEND_SCOPES)
    if not 400 <= said.status < 500 or said.status == 408:
        return _unclear(text, words, "", f"HTTP {said.status}")
    is_later = said.status in (401, 403, 429)
    report = Report(
        message_key=text.reference,
        # Nothing is said of a message that is only kept waiting.
        status=Status.UNKNOWN if is_later else Status.REJECTED,
        vendor_status=f"HTTP {said.status}",
        reason=Reason.THROTTLED if said.status == 429 else Reason.OTHER,
        error_code=said.code or str(said.status),
        error_text=f"{words} {fix}",
        to=text.to,
        sender=text.sender,
    )
    return Sent(
        verdict=Verdict.LATER if is_later else Verdict.REFUSED,
        report=report,
        retry_after=said.retry_after if said.status == 429 else None,
    )


def _unclear(text: Text, words: str, fix: str, status: str) -> Sent:
    later = "It may have taken the message, so it is not sent again; its report, or asking for it, settles it."
    report = Report(
        message_key=text.reference,
        status=Status.UNKNOWN,
        vendor_status=status,
        error_text=" ".join(part for part in (words, fix, later) if part),
        to=text.to,
        sender=text.sender,
    )
    return Sent(verdict=Verdict.UNCLEAR, report=report)
