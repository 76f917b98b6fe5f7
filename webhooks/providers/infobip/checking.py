"""Owns the trial of an API key: its numbers, and which scopes it lacks. Nothing is changed and nothing is sent."""

import re
from typing import Any

from trackly.calls import Dialogue, Unanswered
from webhooks.orders import CannotUse, Checked, Number
from webhooks.providers.base import Config
from webhooks.providers.infobip.api import Api, Said, fields_in, objects_in

PAGE, PAGES = 100, 10
# A call that reads only, the scope it needs, and what does not work without. The scope to send cannot be tried: that sends.
TRIALS = (
    ("/sms/3/logs", "sms:logs:read or sms:manage", "the state of a message without a report cannot be asked for"),
    ("/subscriptions/1/subscription/SMS", "subscriptions:manage", "callbacks cannot be configured"),
)
# Owned "numbers" of other channels, which no SMS comes from.
OTHER_CHANNELS = {"WHATSAPP", "VIBER", "VIBER_VOICE", "FACEBOOK", "RCS", "TELEGRAM", "KAKAO_SANGDAM", "OPEN_CHANNEL"}


def check(config: Config) -> Dialogue[Checked]:
    """Raises CannotUse, and Unanswered while Infobip is busy or away."""
    api = Api.of(config)
    numbers, warnings = yield from _numbers(api)
    for path, scope, lost in TRIALS:
        query = {"limit": 1} if path.startswith("/sms") else {"size": 1}
        said = yield from api.ask("GET", path, **query)
        if said.status == 401 or said.is_temporary:
            raise _trouble(said, scope)
        if said.status == 403:
            warnings.append(f"The API key lacks the scope {scope}: {lost}.")
        elif not said.is_good:
            warnings.append(f"A trial of {scope} went wrong, so perhaps {lost}. {said.problem(scope)[0]}")
    listed = "" if numbers is None else f" Infobip lists {len(numbers)} of its numbers."
    return Checked(said=f"The API key is taken.{listed}", numbers=numbers, warnings=tuple(warnings))


def _numbers(api: Api) -> Dialogue[tuple[tuple[Number, ...] | None, list[str]]]:
    """The numbers (None when the key may not list them) and what is to be said about that."""
    found: list[Number] = []
    for page in range(PAGES):
        said = yield from api.ask("GET", "/numbers/1/numbers", limit=PAGE, page=page)
        if said.status == 403:
            lacks = "The API key lacks the scope numbers:manage: numbers are typed, and replies cannot be configured."
            return None, [lacks]
        rows = fields_in(said.value).get("numbers")
        if not said.is_good or not isinstance(rows, list):
            raise _trouble(said, "numbers:manage")
        found += [number for row in objects_in(rows) if (number := _number(row, api.is_home))]
        if len(rows) < PAGE:
            return tuple(found), []
    return tuple(found), [f"Infobip has more numbers than the {PAGE * PAGES:,} that were read; type the others."]


def _number(row: dict[str, Any], is_home: bool) -> Number | None:
    """An owned number; None for what SMS cannot come from."""
    number, kind, able = row.get("number"), row.get("type"), row.get("capabilities")
    able = able if isinstance(able, list) else []
    if not (isinstance(number, str) and re.fullmatch(r"\+?[0-9]{3,15}", number)):
        return None
    if kind in OTHER_CHANNELS and "SMS" not in able:
        return None
    number = number.removeprefix("+")
    name = row.get("note") or row.get("countryName")
    return Number(
        number=number if kind == "SHORT_CODE" or len(number) < 7 else f"+{number}",
        name=name[:100] if is_home and isinstance(name, str) else "",
        can_receive="SMS" in able,
    )


def _trouble(said: Said, scope: str) -> Exception:
    words = " ".join(said.problem(scope))
    return Unanswered(words) if said.is_temporary else CannotUse(words)
