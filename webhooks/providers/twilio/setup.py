"""Owns what is configured at Twilio so that callbacks reach us: the Messaging Service, or else each number by itself.

Status callbacks of our own sends need nothing: each send names its address.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from trackly.calls import Dialogue
from webhooks.orders import Hook, Outcome, Step, StepState
from webhooks.providers.base import Config
from webhooks.providers.twilio.checking import pool
from webhooks.providers.twilio.rest import (
    REPEATS,
    SERVICES,
    Refused,
    address,
    fetch,
    fetch_all,
    get,
    hushed,
    post,
    service_address,
    sid_of,
    word,
)  # fmt: skip

# To ask which of an account's services a number is in costs a call each.
MAX_SERVICES = 20
_AGAIN = "Configure again."
_TELL = "If that was in use, tell whoever runs it."
_INBOUND = ("status_callback", "inbound_request_url")


def steps(config: Config, hook: Hook) -> tuple[Step, ...]:
    if config.get("messaging_service_sid"):
        return (
            _step("messaging service", "Messaging Service", _do_service, _undo_service, _look_service, config, hook),
        )
    return tuple(
        _step(f"number {number}", f"Number {number}", _do_number, _undo_number, _look_number, config, hook, number)
        for number in hook.numbers
    )


def _step(
    key: str,
    title: str,
    do: Callable[..., Dialogue[Outcome]],
    undo: Callable[..., Dialogue[Outcome]],
    look: Callable[..., Dialogue[Outcome]],
    *about: Any,
) -> Step:
    return Step(key=key, title=title, do=partial(_told, do, *about), undo=partial(_told, undo, *about),
                look=partial(_told, look, *about))  # fmt: skip


def _told(dialogue: Callable[..., Dialogue[Outcome]], config: Config, *about: Any) -> Dialogue[Outcome]:
    """Its outcome; what Twilio refuses is one too."""
    try:
        return (yield from hushed(dialogue(config, *about), config))
    except Refused as refusal:
        problem = refusal.problem
        return Outcome(state=StepState.FAILED, said=problem.said, fix=problem.fix, is_temporary=problem.is_busy)


# --- A number of its own


def _do_number(config: Config, hook: Hook, number: str) -> Dialogue[Outcome]:
    row = yield from _find(config, number)
    if row is None:
        return _missing(number)
    standing, url = word(row.get("sms_url")), hook.url + REPEATS
    if standing == url and row.get("sms_method") == "POST":
        said = "Its replies come here already."
    else:
        yield from fetch(post(_number_address(config, row), config, {"SmsUrl": url, "SmsMethod": "POST"}))
        said = "Its replies come here now."
    warnings = [(_replaced("Its SMS URL", standing, hook), _TELL)] if _is_foreign(standing, hook) else []
    warnings += yield from _overrides(config, hook, row)
    return _done(said, warnings)


def _look_number(config: Config, hook: Hook, number: str) -> Dialogue[Outcome]:
    row = yield from _find(config, number)
    if row is None:
        return _missing(number)
    standing = word(row.get("sms_url"))
    if standing != hook.url + REPEATS or row.get("sms_method") != "POST":
        by_post = "" if row.get("sms_method") == "POST" else ", and its method is not POST"
        return Outcome(state=StepState.FAILED, said=f"Its SMS URL {_leads(standing, hook)}{by_post}.", fix=_AGAIN)
    warnings = yield from _overrides(config, hook, row)
    return _done("Its replies come here.", warnings)


def _undo_number(config: Config, hook: Hook, number: str) -> Dialogue[Outcome]:
    row = yield from _find(config, number)
    if row is None:
        return Outcome(state=StepState.DONE, said=f"{number} is not in this Twilio account any more.")
    standing = word(row.get("sms_url"))
    if not _is_ours(standing, hook):
        return Outcome(state=StepState.DONE, said=f"Left as it was: its SMS URL {_leads(standing, hook)}.")
    yield from fetch(post(_number_address(config, row), config, {"SmsUrl": ""}))
    return Outcome(state=StepState.DONE, said="Its SMS URL was taken out; replies to it go nowhere now.")


def _find(config: Config, number: str) -> Dialogue[dict[str, Any] | None]:
    """The number, or the short code, of the account; None when it has none such."""
    if number.startswith("+"):
        url, key, name, query = "IncomingPhoneNumbers.json", "incoming_phone_numbers", "phone_number", "PhoneNumber"
    else:
        url, key, name, query = "SMS/ShortCodes.json", "short_codes", "short_code", "ShortCode"
    # Both filters match parts of numbers too.
    rows = yield from fetch_all(address(config, url), config, key, {query: number})
    return next((row for row in rows if word(row.get(name)) == number and sid_of(row)), None)


def _number_address(config: Config, row: dict[str, Any]) -> str:
    return address(config, f"{'SMS/ShortCodes' if 'short_code' in row else 'IncomingPhoneNumbers'}/{sid_of(row)}.json")


def _missing(number: str) -> Outcome:
    return Outcome(
        state=StepState.FAILED,
        said=f"{number} is not a number of this Twilio account.",
        fix="Correct the list's number, or use the credentials of the account, or subaccount, that has it.",
    )


def _overrides(config: Config, hook: Hook, row: dict[str, Any]) -> Dialogue[list[tuple[str, str]]]:
    """What makes Twilio pass the number's URL by, each with its mending."""
    application = word(row.get("sms_application_sid"))
    if application:
        return [
            (
                f"The TwiML application {application} stands on the number and overrides this URL: its replies do not come here.",
                "In Twilio's console, open the number, and under Messaging configure it with 'Webhook' instead of 'TwiML App'.",
            )
        ]
    service = yield from _ruling_service(config, hook, row)
    if service is None:
        return []
    name = word(service.get("friendly_name")) or sid_of(service)
    return [
        (
            f"The number is in the Messaging Service {name}, whose own settings override this URL: its replies do not come here.",
            f"Enter {sid_of(service)} as the Messaging Service here and configure again, or set that service to"
            " 'Defer to sender's webhook' in Twilio's console.",
        )
    ]


def _ruling_service(config: Config, hook: Hook, row: dict[str, Any]) -> Dialogue[dict[str, Any] | None]:
    """The service that takes the number's replies elsewhere; None when there is none, or the key may not know."""
    kind = "ShortCodes" if "short_code" in row else "PhoneNumbers"
    try:
        services = yield from fetch_all(SERVICES, config, "services")
        for service in services[:MAX_SERVICES]:
            defers = service.get("use_inbound_webhook_on_number") is True
            if defers or not sid_of(service) or _is_ours(word(service.get("inbound_request_url")), hook):
                continue
            answer = yield get(f"{SERVICES}/{sid_of(service)}/{kind}/{sid_of(row)}", config)
            if answer.status == 200:
                return service
    except Refused:
        return None
    return None


# --- A Messaging Service


def _do_service(config: Config, hook: Hook) -> Dialogue[Outcome]:
    service = yield from fetch(get(service_address(config), config))
    said = "Reports and replies of the service come here already."
    if not _is_set(service, hook):
        url = hook.url + REPEATS
        wanted = {"StatusCallback": url, "InboundRequestUrl": url, "InboundMethod": "POST"}
        yield from fetch(post(service_address(config), config, wanted | {"UseInboundWebhookOnNumber": "false"}))
        said = "Reports and replies of the service come here now."
    warnings = [
        (_replaced(name, word(service.get(key)), hook), _TELL)
        for key, name in zip(_INBOUND, ("Its status callback", "Its inbound request URL"), strict=True)
        if _is_foreign(word(service.get(key)), hook)
    ]
    warnings += yield from _outside(config, hook)
    return _done(said, warnings)


def _look_service(config: Config, hook: Hook) -> Dialogue[Outcome]:
    service = yield from fetch(get(service_address(config), config))
    if not _is_set(service, hook):
        return Outcome(state=StepState.FAILED, said=_difference(service, hook), fix=_AGAIN)
    warnings = yield from _outside(config, hook)
    return _done("Reports and replies of the service come here.", warnings)


def _undo_service(config: Config, hook: Hook) -> Dialogue[Outcome]:
    service = yield from fetch(get(service_address(config), config))
    ours = [key for key in _INBOUND if _is_ours(word(service.get(key)), hook)]
    left = [
        f"its {key.replace('_', ' ')} {_leads(word(service.get(key)), hook)}"
        for key in _INBOUND
        if key not in ours and service.get(key)
    ]
    kept = f" Left as it was: {', '.join(left)}." if left else ""
    if not ours:
        return Outcome(state=StepState.DONE, said=f"Nothing of ours stood there.{kept}")
    names = {"status_callback": "StatusCallback", "inbound_request_url": "InboundRequestUrl"}
    yield from fetch(post(service_address(config), config, {names[key]: "" for key in ours}))
    return Outcome(state=StepState.DONE, said=f"Our addresses were taken out of the service.{kept}")


def _is_set(service: dict[str, Any], hook: Hook) -> bool:
    urls = {word(service.get(key)) for key in _INBOUND}
    defers = service.get("use_inbound_webhook_on_number")
    return urls == {hook.url + REPEATS} and service.get("inbound_method") == "POST" and defers is False


def _difference(service: dict[str, Any], hook: Hook) -> str:
    found = [
        f"its {key.replace('_', ' ')} {_leads(word(service.get(key)), hook)}"
        for key in _INBOUND
        if word(service.get(key)) != hook.url + REPEATS
    ]
    if service.get("inbound_method") != "POST":
        found.append("its inbound method is not POST")
    if service.get("use_inbound_webhook_on_number") is not False:
        found.append("it leaves replies to the webhook of each number")
    return f"The service was changed: {', '.join(found)}."


def _outside(config: Config, hook: Hook) -> Dialogue[list[tuple[str, str]]]:
    senders = {word(row.get(key)) for row, key in (yield from pool(config))}
    missing = [number for number in hook.numbers if number not in senders]
    if not missing:
        return []
    shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    return [
        (
            f"Not among the service's senders: {shown}. Twilio refuses what they send, and their replies do not come here.",
            "In Twilio's console, under Messaging > Services, add them to the sender pool, or correct the lists' numbers.",
        )
    ]


# --- URLs, and what is said of them


def _is_ours(url: str, hook: Hook) -> bool:
    """The same host and path, and naming the same account: the fragment may be of another day."""
    try:
        theirs, ours = urlsplit(url), urlsplit(hook.url)
        queries = set(parse_qsl(theirs.query)), set(parse_qsl(ours.query))
    except ValueError:
        return False
    return (theirs.netloc.lower(), theirs.path) == (ours.netloc.lower(), ours.path) and queries[0] >= queries[1]


def _is_foreign(url: str, hook: Hook) -> bool:
    return bool(url) and not _is_ours(url, hook)


def _host(url: str) -> str:
    """All that may be shown of a foreign URL: what follows may be a secret."""
    try:
        return urlsplit(url).hostname or "an address without a host"
    except ValueError:
        return "an address that cannot be read"


def _leads(url: str, hook: Hook) -> str:
    if not url:
        return "is empty"
    if not _is_ours(url, hook):
        return f"leads to {_host(url)}"
    return "leads here" if url == hook.url + REPEATS else "leads here with other settings"


def _replaced(name: str, url: str, hook: Hook) -> str:
    return f"{name} led to {_host(url)} and was replaced: whoever runs that gets nothing any more."


def _done(said: str, warnings: list[tuple[str, str]]) -> Outcome:
    """Done; with a warning where there is any."""
    return Outcome(
        state=StepState.WARNING if warnings else StepState.DONE,
        said=" ".join([said, *(words for words, _ in warnings)]),
        fix=" ".join(dict.fromkeys(fix for _, fix in warnings)),
    )
