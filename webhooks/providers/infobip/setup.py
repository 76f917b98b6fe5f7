"""Owns what is configured at Infobip so that callbacks reach us: one subscription, with its notification profile and its
security setting, and each number's forwarding of inbound messages (forwarding.py).

Whatever an earlier run left half done is completed: the three parts of a subscription are looked up and put right one by
one, from the innermost out. What is as it should be is not written again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from trackly.calls import Dialogue
from webhooks.orders import Hook, Outcome, Step
from webhooks.providers.base import Config
from webhooks.providers.infobip.api import Api, digits, fields_in, host_of, part
from webhooks.providers.infobip.forwarding import Forwarding
from webhooks.providers.infobip.outcomes import done, drop, find, guarded, want, warning, wrong
from webhooks.providers.infobip.proofs import USER

SCOPE = "subscriptions:manage"
EVENTS = ("DELIVERY", "INBOUND_MESSAGE")
# The most that their schema takes in one subscription.
MAX_RESOURCES = 255
# Of a profile that is made new. A batch of 100 is stored within milliseconds; fifteen seconds are patient with a restart.
TUNING = {
    "maxBucketSize": 100,
    "connectTimeout": 5_000,
    "readTimeout": 15_000,
    "enabledSSLProtocols": ["TLSv1.2", "TLSv1.3"],
}
# What a person may tune in the portal afterwards, and keeps when the profile is written again.
TUNED = (*TUNING, "windowSize", "rateLimit", "clientCertificateId", "headers")
# A profile with one of these takes our 200 for a failure.
EXPRESSIONS = ("responseRegex", "responseBodyRegex")


def steps(config: Config, hook: Hook) -> tuple[Step, ...]:
    api = Api.of(config, config.get("basic_password", ""), hook.url.rpartition("/")[2])
    whole = Subscribing(api=api, hook=hook, config=config)
    subscribed = _step("subscription", "Subscription to reports and replies", whole)
    return subscribed, *(
        _step(f"number {number}", f"Replies to {number}", Forwarding(api=api, url=hook.url, number=number))
        for number in hook.numbers
    )


def _step(key: str, title: str, part_of_it: "Subscribing | Forwarding") -> Step:
    return Step(
        key=key,
        title=title,
        do=guarded(part_of_it.do),
        undo=guarded(part_of_it.undo),
        look=guarded(part_of_it.look),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One of the three parts."""

    label: str
    collection: str
    id_field: str
    id: str
    faults: Callable[[dict[str, Any]], list[str]]
    """What is wrong with the one that stands there, in words that follow "it"."""
    body: Callable[[dict[str, Any]], dict[str, Any]]
    """What is written over the one that stands there (empty: none does)."""
    is_unknowable: Callable[[dict[str, Any]], bool] = lambda found: False
    """Whether it cannot be told, so that it is written to be sure."""

    @property
    def path(self) -> str:
        return f"{self.collection}/{part(self.id)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribing:
    """The subscription of one provider account."""

    api: Api
    hook: Hook
    config: Config

    def do(self) -> Dialogue[Outcome]:
        if not self.hook.numbers:
            return self._waiting()
        written = []
        for piece in self._pieces():
            found = yield from find(self.api, SCOPE, piece.path)
            if found is None:
                new = {piece.id_field: piece.id} | piece.body({})
                yield from want(self.api, SCOPE, "POST", piece.collection, new)
            elif piece.faults(found) or piece.is_unknowable(found):
                yield from want(self.api, SCOPE, "PUT", piece.path, piece.body(found))
            else:
                continue
            written.append(piece.label)
        return self._done(written)

    def _done(self, written: list[str]) -> Outcome:
        how = f"; written: {', '.join(written)}" if written else ", as before"
        count = len(self.hook.numbers)
        said = (
            f"Infobip reports and replies of {_numbers(min(count, MAX_RESOURCES))} go to {host_of(self.hook.url)}{how}."
        )
        if count <= MAX_RESOURCES:
            return done(said)
        left = f"{said} A subscription holds no more; the other {_numbers(count - MAX_RESOURCES)} are not in it."
        # Each send carries the address of its reports, and each number has its own forwarding.
        return warning(left, "Nothing for messages sent from here; reports of others' messages from them do not come.")

    def undo(self) -> Dialogue[Outcome]:
        *inner, subscription = self._pieces()
        profile = yield from find(self.api, SCOPE, inner[-1].path)
        to = host_of(fields_in((profile or {}).get("webhook")).get("notifyUrl"))
        if profile is not None and to != host_of(self.hook.url):
            return warning(
                f"The subscription was left: it goes to {self._shown(to)} by now.", "Delete it in the portal."
            )
        kept = []
        for piece in (subscription, *reversed(inner)):
            if not (yield from drop(self.api, SCOPE, piece.path)):
                kept.append(piece.label)
        if kept:
            return warning(
                f"Infobip keeps the {' and the '.join(kept)}: something else uses it.", "Look in the portal."
            )
        return done("The subscription is gone from Infobip, with its profile and its security setting.")

    def look(self) -> Dialogue[Outcome]:
        if not self.hook.numbers:
            return self._waiting()
        for piece in self._pieces():
            found = yield from find(self.api, SCOPE, piece.path)
            if found is None:
                return wrong(f"The {piece.label} is missing at Infobip.")
            if faults := piece.faults(found):
                return wrong(f"The {piece.label} at Infobip was changed: it {' and it '.join(faults)}.")
        return done(f"Infobip reports and replies go to {host_of(self.hook.url)}.")

    def _waiting(self) -> Outcome:
        # Not StepState.WAITING: that is for what can be done now.
        said = "Waits for the first list: a subscription without numbers would take the callbacks of every sender."
        return warning(said, "Make a list with a number of this account.")

    def _shown(self, host: str) -> str:
        return host if self.api.is_home and host else "another host"

    def _pieces(self) -> tuple[Piece, ...]:
        """From the innermost out."""
        subscription = Piece(
            label="subscription",
            collection="/subscriptions/1/subscription/SMS",
            id_field="subscriptionId",
            id=self.hook.name,
            faults=self._subscription_faults,
            body=lambda found: self._subscription(),
        )
        profile = Piece(
            label="notification profile",
            collection="/subscriptions/1/profiles",
            id_field="profileId",
            id=f"{self.hook.name}-profile",
            faults=self._profile_faults,
            body=self._profile,
        )
        security = Piece(
            label="security setting",
            collection="/subscriptions/1/security",
            id_field="authId",
            id=f"{self.hook.name}-auth",
            faults=self._security_faults,
            body=lambda found: self._security(),
            is_unknowable=lambda found: _is_masked(fields_in(found.get("credentials")).get("password")),
        )
        # Without a password only the token in the address proves a callback.
        return (*((security,) if self.config.get("basic_password") else ()), profile, subscription)

    def _subscription(self) -> dict[str, Any]:
        return {
            "name": f"Trackly {self.hook.name}",
            "events": list(EVENTS),
            "resources": self._resources(),
            "profile": {"profileId": f"{self.hook.name}-profile"},
        }

    def _resources(self) -> list[str]:
        return [digits(number) for number in self.hook.numbers[:MAX_RESOURCES]]

    def _subscription_faults(self, found: dict[str, Any]) -> list[str]:
        events, resources = _names(found.get("events")), _names(found.get("resources"))
        checks = {
            "lacks an event": events >= set(EVENTS),
            "has other numbers": resources == set(self._resources()),
            "uses another profile": fields_in(found.get("profile")).get("profileId") == f"{self.hook.name}-profile",
        }
        return _failing(checks.items())

    def _profile(self, found: dict[str, Any]) -> dict[str, Any]:
        tuned = {name: found[name] for name in TUNED if found.get(name) not in (None, "", [], {})}
        webhook = {"notifyUrl": self.hook.url, "contentType": "application/json"}
        security = {"security": {"authId": f"{self.hook.name}-auth"}} if self.config.get("basic_password") else {}
        return TUNING | tuned | {"webhook": webhook} | security

    def _profile_faults(self, found: dict[str, Any]) -> list[str]:
        webhook, security = fields_in(found.get("webhook")), fields_in(found.get("security"))
        url = webhook.get("notifyUrl")
        is_elsewhere = host_of(url) != host_of(self.hook.url)
        checks = {
            f"calls {self._shown(host_of(url))}, not us": not is_elsewhere,
            "calls another address of ours": is_elsewhere or url == self.hook.url,
            "demands an answer of its own": not any(found.get(name) for name in EXPRESSIONS),
            "sends another format": webhook.get("contentType") in (None, "", "application/json"),
            "uses another security setting": security.get("authId") == f"{self.hook.name}-auth"
            or not self.config.get("basic_password"),
        }
        return _failing(checks.items())

    def _security(self) -> dict[str, Any]:
        return {"type": "BASIC", "credentials": self._credentials()}

    def _credentials(self) -> dict[str, str]:
        return {
            "username": self.config.get("basic_username") or USER,
            "password": self.config.get("basic_password", ""),
        }

    def _security_faults(self, found: dict[str, Any]) -> list[str]:
        has, ours = fields_in(found.get("credentials")), self._credentials()
        checks = {
            "is not Basic": found.get("type") == "BASIC",
            "has another user name": has.get("username") == ours["username"],
            "has another password": has.get("password") == ours["password"] or _is_masked(has.get("password")),
        }
        return _failing(checks.items())


def _failing(checks: Iterable[tuple[str, bool]]) -> list[str]:
    return [words for words, is_fine in checks if not is_fine]


def _name(value: object) -> str:
    """An event or a number; an event may come as {event, format}."""
    return str(fields_in(value).get("event", "") if isinstance(value, dict) else value)


def _names(value: object) -> set[str]:
    return {_name(item) for item in value} if isinstance(value, list) else set()


def _is_masked(password: object) -> bool:
    """Their schema answers with the password as it is; should it hide it some day, a rotation must still be written."""
    return not isinstance(password, str) or not any(character.isalnum() for character in password)


def _numbers(count: int) -> str:
    return "1 number" if count == 1 else f"{count:,} numbers"
