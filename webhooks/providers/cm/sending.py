"""Owns the sending half of CM.com: one text as one call of the gateway, what its answer means, and the try of a product token.

From CM's own SDK (2.0.4) and stored copies of https://developers.cm.com/messaging/docs/responses-json, not from live traffic.
Quirks: a refused message of an accepted request is a 200; the gateway cuts a text that needs more parts than it was allowed;
its answer has no id of its own.
"""

import json
from datetime import timedelta
from typing import Any

from trackly.calls import Answer, Call, Dialogue, Unanswered
from trackly.payloads import read_json
from webhooks.orders import CannotUse, Checked, Sent, Text, Verdict
from webhooks.providers.base import BadPayload, Config, fields_of, text_of
from webhooks.statuses import Reason, Report, Status

GATEWAY = "https://gw.messaging.cm.com/v1.0/message"
# What the SDK allows. A longer text would arrive without its end, so it is refused here.
MAX_PARTS = 8
MAX_CHARACTERS = 153 * MAX_PARTS
# GSM 03.38: one place in a part each, the second line two; with any other character the whole text is sent as UCS-2.
GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_DOUBLE = frozenset("^{}\\[~]|€")

_TOKEN = "Copy the product token from CM's app (Channels, Gateway) into the provider account."
_OURS = "This is a fault of ours; report it with the message's id."
# https://developers.cm.com/messaging/docs/responses-json and the SDK's TextClientStatusCodes, of the whole answer or of its row.
CODES = {
    "101": (Verdict.LATER, Reason.OTHER, f"CM knows no account for this product token. {_TOKEN}"),
    "102": (Verdict.LATER, Reason.CREDIT, "The balance at CM is too low. Top it up in CM's app."),
    "103": (Verdict.LATER, Reason.OTHER, f"CM does not take this product token. {_TOKEN}"),
    "201": (Verdict.REFUSED, Reason.OTHER, "CM sent nothing of it and does not say why."),
    "202": (Verdict.REFUSED, Reason.OTHER, f"CM could not read the request. {_OURS}"),
    "203": (Verdict.REFUSED, Reason.OTHER, f"CM found no message in the request. {_OURS}"),
    "301": (
        Verdict.REFUSED,
        Reason.REGISTRATION,
        "CM does not take the sender. Compare the list's number with its app.",
    ),
    "302": (Verdict.REFUSED, Reason.INVALID_NUMBER, "CM does not take the recipient. Correct the contact's number."),
    "303": (Verdict.REFUSED, Reason.INVALID_NUMBER, "The recipient's number is not valid. Correct it at the contact."),
    "304": (Verdict.REFUSED, Reason.OTHER, "CM does not take the text. Look for odd characters in it."),
    "305": (Verdict.REFUSED, Reason.OTHER, f"CM does not take a field of the request. {_OURS}"),
    "401": (Verdict.REFUSED, Reason.SPAM, "CM took it for spam. Change the text or ask CM's support."),
    # Whose list it is CM does not say, so it is not the recipient's word to this sender.
    "402": (Verdict.REFUSED, Reason.BLOCKED, "The recipient is on a blacklist at CM. Ask CM's support whose it is."),
    "403": (Verdict.REFUSED, Reason.BLOCKED, "CM rejected it. Ask CM's support why."),
    "500": (Verdict.UNCLEAR, Reason.OTHER, "CM had an internal error and may have taken it all the same."),
    "999": (Verdict.UNCLEAR, Reason.OTHER, "CM had an unknown error and may have taken it all the same."),
}
# Of a text that is kept waiting, or perhaps sent, nothing is known.
_STATES = {Verdict.ACCEPTED: Status.ACCEPTED, Verdict.REFUSED: Status.REJECTED}


def send(text: Text, config: Config) -> Dialogue[Sent]:
    if parts_of(text.body) > MAX_PARTS:
        long = f"The text needs more than {MAX_PARTS} SMS, and CM would cut its end off. Shorten it."
        return _sent(text, Verdict.REFUSED, "not sent", reason=Reason.OTHER, words=long)
    if not config.get("product_token"):
        return _sent(text, Verdict.LATER, "not sent", reason=Reason.OTHER, words=f"There is no product token. {_TOKEN}")
    answer = yield _call(config, [_message(text)])
    return _answered(text, answer, config)


def check(config: Config) -> Dialogue[Checked]:
    """By a request without messages: CM documents no other that sends nothing. Raises Unanswered while CM is busy."""
    if not config.get("product_token"):
        raise CannotUse(f"There is no product token: callbacks come without it, sending needs it. {_TOKEN}")
    answer = yield _call(config, [])
    code, _ = _read(answer)
    if code in ("101", "103"):
        raise CannotUse(CODES[code][2])
    if answer.status in (401, 403):
        raise CannotUse(CODES["103"][2])
    if answer.status in (408, 429) or answer.status >= 500 or code in ("500", "999"):
        raise Unanswered(f"CM is busy or out of order (HTTP {answer.status}). Try again in some minutes.")
    if code not in ("0", "102", "201", "202", "203"):
        raise CannotUse(
            f"CM's answer (HTTP {answer.status}) is none that it documents. Ask CM's support about the account."
        )
    return Checked(
        said="CM complained about an empty request and not about the product token, so it seems to take it. CM has no"
        " way to be sure: send a test message.",
        warnings=(CODES["102"][2],) if code == "102" else (),
    )


def parts_of(body: str) -> int:
    """How many SMS the text needs."""
    if GSM.issuperset(set(body) - GSM_DOUBLE):
        size, one, many = len(body) + sum(character in GSM_DOUBLE for character in body), 160, 153
    else:
        size, one, many = len(body.encode("utf-16-le", "surrogatepass")) // 2, 70, 67
    return 1 if size <= one else -(-size // many)


def _call(config: Config, messages: list[dict[str, Any]]) -> Call:
    headers = (("Content-Type", "application/json"), ("X-CM-PRODUCTTOKEN", config.get("product_token", "")))
    return Call(method="POST", url=GATEWAY, headers=headers, body=json.dumps({"messages": {"msg": messages}}).encode())


def _message(text: Text) -> dict[str, Any]:
    return {
        "allowedChannels": ["SMS"],
        "from": _international(text.sender),
        "to": [{"number": _international(text.to)}],
        "body": {"type": "auto", "content": text.body},
        "minimumNumberOfMessageParts": 1,
        "maximumNumberOfMessageParts": MAX_PARTS,
        "reference": text.reference,
    }


def _international(number: str) -> str:
    """With 00 for the plus, as CM writes numbers; a short code as it is."""
    return f"00{number[1:]}" if number.startswith("+") else number


def _read(answer: Answer) -> tuple[str, dict[str, str]]:
    """The error code of the answer and its first row; '' and empty where they cannot be read."""
    try:
        body: dict[str, Any] = read_json(answer.body, dict[str, Any])
        rows = body.get("messages")
        row = fields_of(rows[0]) if isinstance(rows, list) and rows else {}
        return text_of(body.get("errorCode")).strip(), {
            name: text_of(row.get(name)).strip() for name in ("status", "parts", "messageErrorCode", "messageDetails")
        }
    except BadPayload:
        return "", {}


def _answered(text: Text, answer: Answer, config: Config) -> Sent:
    """The row decides, for a 200 says only that CM read the request; where there is none, the whole answer."""
    whole, row = _read(answer)
    # CM may repeat what we sent it.
    row = {name: said.replace(config["product_token"], "***") for name, said in row.items()}
    word, code = row.get("status", ""), row.get("messageErrorCode", "")
    if answer.status == 200 and word.lower() == "accepted" and code in ("", "0"):
        return _sent(text, Verdict.ACCEPTED, word, parts=row["parts"])
    code = code if code not in ("", "0") else whole
    verdict, reason, words = _judged(answer, word.lower(), code)
    words = f"{words} CM says: {row['messageDetails']}" if row.get("messageDetails") else words
    if verdict == Verdict.UNCLEAR:
        # No error of the message's: it may be on its way, and its reports will say.
        return _sent(text, verdict, word or f"HTTP {answer.status}", words=f"{words} So it is not sent again.")
    later = _wait(answer) if verdict == Verdict.LATER else None
    named = code if code != "0" else ""
    return _sent(
        text, verdict, word or f"HTTP {answer.status}", code=named, reason=reason, words=words, retry_after=later
    )


def _judged(answer: Answer, word: str, code: str) -> tuple[Verdict, Reason, str]:
    """What an answer other than a plain acceptance means; `word` is the row's status in lower case."""
    if answer.status == 429:
        return Verdict.LATER, Reason.THROTTLED, "CM takes no more at this moment; it is tried again by itself."
    if answer.status >= 500 or answer.status == 408:
        return Verdict.UNCLEAR, Reason.OTHER, f"CM failed (HTTP {answer.status}) and may have taken it all the same."
    if word == "accepted":
        return Verdict.UNCLEAR, Reason.OTHER, f"CM accepts it and reports an error (HTTP {answer.status}, code {code})."
    if answer.status == 401 or (answer.status == 403 and code in ("", "0")):
        return CODES["101" if code == "101" else "103"]
    if code in CODES:
        return CODES[code]
    if word == "rejected" or (400 <= answer.status < 500 and code not in ("", "0")):
        return Verdict.REFUSED, Reason.OTHER, "CM rejected it with a code that it does not document. Ask CM's support."
    if 400 <= answer.status < 500:
        return Verdict.LATER, Reason.OTHER, f"CM took nothing and did not say why (HTTP {answer.status})."
    return Verdict.UNCLEAR, Reason.OTHER, f"CM's answer (HTTP {answer.status}) cannot be read; it may have taken it."


def _wait(answer: Answer) -> timedelta | None:
    """What Retry-After asks for, where it is a number of seconds."""
    seconds = answer.header("retry-after") or ""
    return timedelta(seconds=int(seconds)) if seconds.isascii() and seconds.isdigit() and len(seconds) < 6 else None


def _sent(
    text: Text,
    verdict: Verdict,
    word: str,
    *,
    code: str = "",
    reason: Reason | None = None,
    words: str = "",
    parts: str = "",
    retry_after: timedelta | None = None,
) -> Sent:
    report = Report(
        message_key=text.reference,
        status=_STATES.get(verdict, Status.UNKNOWN),
        vendor_status=word,
        reason=reason,
        error_code=code,
        error_text=words,
        to=text.to,
        segments=int(parts) if parts.isascii() and parts.isdigit() and 0 < len(parts) < 4 else None,
    )
    return Sent(verdict=verdict, report=report, retry_after=retry_after)
