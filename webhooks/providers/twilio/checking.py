"""Owns the trying of credentials: which of them Twilio takes, whose they are, and which numbers there are."""

import re
from typing import Any

from trackly.calls import Call, Dialogue
from webhooks.orders import CannotUse, Checked, Number
from webhooks.providers.base import Config
from webhooks.providers.twilio.rest import (
    TEST_CREDENTIALS,
    Problem,
    Refused,
    address,
    fetch,
    fetch_all,
    get,
    has_key,
    service_address,
    unanswered,
    word,
)  # fmt: skip

_WHERE = "Copy it from Twilio's console (Account > API keys & tokens)"
_ONLY_TOKEN = "it alone verifies callbacks, so every one of them would be refused"


def check(config: Config) -> Dialogue[Checked]:
    """Raises CannotUse, or Unanswered while Twilio is busy."""
    if bool(config.get("api_key_sid")) != bool(config.get("api_key_secret")):
        raise CannotUse("An API key is a pair: enter both its SID and its secret, or neither.")
    # A standard key may not read the account itself (https://www.twilio.com/docs/api/errors/20003): the token must.
    account, token = yield from _tried(get(address(config, ""), config, by_token=True))
    if token is not None and token.code == TEST_CREDENTIALS:
        return _pretending()
    key = None
    if has_key(config):
        _, key = yield from _tried(get(address(config, "IncomingPhoneNumbers.json"), config, {"PageSize": 1}))
    _judge(token, key, config)
    _judge_status(word(account.get("status")).lower())
    try:
        numbers, warnings = yield from (_of_service if config.get("messaging_service_sid") else _of_account)(config)
    except Refused as refusal:
        if refusal.problem.is_busy:
            raise unanswered(refusal.problem) from refusal
        raise CannotUse(f"{refusal.problem.said} {refusal.problem.fix}") from refusal
    return Checked(
        said=f"{_named(account)}, {len(numbers)} number{'' if len(numbers) == 1 else 's'}.",
        numbers=tuple(numbers),
        warnings=(*_warnings(account, config), *warnings),
    )


def _tried(call: Call) -> Dialogue[tuple[dict[str, Any], Problem | None]]:
    try:
        return (yield from fetch(call)), None
    except Refused as refusal:
        return {}, refusal.problem


def _pretending() -> Checked:
    return Checked(
        said="Twilio's test credentials: it checks what is sent and pretends to take it.",
        warnings=(
            "With test credentials nothing is delivered, no report and no reply ever comes, and nothing can be configured."
            " Enter the live Account SID and Auth Token to send.",
        ),
    )


def _judge(token: Problem | None, key: Problem | None, config: Config) -> None:
    """Raise, saying which of the two is wrong."""
    for problem in (token, key):
        if problem is not None and problem.is_busy:
            raise unanswered(problem)
    if token is not None and key is not None:
        raise CannotUse(
            f"Twilio takes neither the Auth Token nor the API key for this Account SID. {_WHERE}, and see that the account is"
            f" neither suspended nor closed. {_trace(token)}"
        )
    if token is not None:
        right = "The API key is right, the Auth Token is wrong" if has_key(config) else "The Auth Token is wrong"
        raise CannotUse(
            f"{right}: Twilio does not take it for this Account SID, and {_ONLY_TOKEN}. {_WHERE}, and see that the account is"
            f" neither suspended nor closed. {_trace(token)}"
        )
    if key is not None:
        raise CannotUse(
            "The Auth Token is right, the API key is wrong: Twilio does not take the key, or it is a restricted one that may"
            " not read phone numbers. It must be of this account and of type Standard or Main, or be allowed to read and write"
            f" messages, phone numbers and Messaging Services. {_trace(key)}"
        )


def _trace(problem: Problem) -> str:
    said = f": {problem.words}" if problem.words else ""
    return f"(HTTP {problem.status}{f', code {problem.code}' if problem.code else ''}{said})"


def _judge_status(status: str) -> None:
    if status == "suspended":
        raise CannotUse(
            "Twilio has suspended this account: it sends nothing. Its console says why; most often it is unpaid."
        )
    if status == "closed":
        raise CannotUse("This Twilio account is closed. Enter the credentials of another one.")
    if status != "active":
        raise CannotUse(
            f"Twilio calls the state of this account {status or 'nothing that can be read'}; it must be active."
        )


def _named(account: dict[str, Any]) -> str:
    kind = "Subaccount" if word(account.get("owner_account_sid")) not in ("", word(account.get("sid"))) else "Account"
    return f"{kind} {word(account.get('friendly_name')) or word(account.get('sid'))} is active"


def _warnings(account: dict[str, Any], config: Config) -> list[str]:
    found = []
    if word(account.get("type")).lower() == "trial":
        found.append("It is a trial account: it sends to verified numbers only, and puts a sentence before every text.")
    primary = word(account.get("auth_token"))
    # Twilio takes both tokens for calls, and shows the primary one; where it shows stars, nothing is known.
    if re.fullmatch("[0-9a-f]{32}", primary) and primary != config.get("auth_token"):
        found.append(
            "The Auth Token entered is not the primary one, which signs: callbacks would be refused. Enter that one."
        )
    return found


def _of_account(config: Config) -> Dialogue[tuple[list[Number], list[str]]]:
    rows = yield from fetch_all(address(config, "IncomingPhoneNumbers.json"), config, "incoming_phone_numbers")
    numbers = [_number(row, "phone_number") for row in rows]
    try:
        codes = yield from fetch_all(address(config, "SMS/ShortCodes.json"), config, "short_codes")
    except Refused:
        # Few accounts have any; a key that may not read them is no reason to refuse the rest.
        codes = []
    numbers += [_number(row, "short_code") for row in codes]
    usable = [number for number in numbers if number.number]
    return usable, [] if usable else ["The account has no number: buy one in Twilio's console before making a list."]


def _of_service(config: Config) -> Dialogue[tuple[list[Number], list[str]]]:
    try:
        service = yield from fetch(get(service_address(config), config))
    except Refused as refusal:
        if refusal.problem.status != 404:
            raise
        raise CannotUse(
            "There is no Messaging Service of this SID in this account. Copy it from Twilio's console (Messaging > Services),"
            " or leave it empty to send from the numbers themselves."
        ) from refusal
    numbers = [_number(row, key) for row, key in (yield from pool(config))]
    usable = [number for number in numbers if number.number]
    name = word(service.get("friendly_name"))
    return usable, [] if usable else [f"The Messaging Service {name} has no number: add one in Twilio's console."]


def pool(config: Config) -> Dialogue[list[tuple[dict[str, Any], str]]]:
    """The senders of the Messaging Service, each with the field its number stands in; raises Refused."""
    phones = yield from fetch_all(service_address(config, "PhoneNumbers"), config, "phone_numbers")
    codes = yield from fetch_all(service_address(config, "ShortCodes"), config, "short_codes")
    return [(row, "phone_number") for row in phones] + [(row, "short_code") for row in codes]


def _number(row: dict[str, Any], key: str) -> Number:
    """Capabilities are an object of the account's numbers and a list of a service's; where none are told, it can."""
    able, number = row.get("capabilities"), word(row.get(key))
    can_receive = not able or (any(word(name).lower() == "sms" for name in able) if isinstance(able, list) else True)
    if isinstance(able, dict) and able:
        can_receive = bool({name.lower(): yes for name, yes in able.items()}.get("sms"))
    name = word(row.get("friendly_name"))
    return Number(number=number, name="" if name == number else name, can_receive=can_receive)
