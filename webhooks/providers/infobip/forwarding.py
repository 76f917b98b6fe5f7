"""Owns the forwarding of one number's inbound messages at Infobip: an inbound-message configuration without a keyword."""

from dataclasses import dataclass
from typing import Any

from trackly.calls import Dialogue
from webhooks.orders import Outcome
from webhooks.providers.infobip.api import Api, digits, fields_in, host_of, objects_in, part
from webhooks.providers.infobip.outcomes import Refused, done, want, warning, wrong

SCOPE = "numbers:manage"
CONFIGURATIONS, NUMBERS = "/resource-management/1/inbound-message-configurations", "/numbers/1/numbers"
# Further actions of a configuration, which are not ours and outlive our forwarding.
OTHERS = ("conversations", "answers", "autoResponse", "blockListConfiguration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    api: Api
    url: str
    number: str

    def do(self) -> Dialogue[Outcome]:
        target = yield from self._target()
        general, keyed = yield from self._found(target)
        before = _forwarding(general)
        if before != self._wanted():
            # Creates and updates; what else the configuration does stays. Without a keyword it is for every text.
            value = {"channel": "SMS", **target, "forwarding": self._wanted()}
            said = yield from self.api.ask("POST", CONFIGURATIONS, value)
            if said.status == 404:
                return wrong(
                    f"Infobip has no number {self.number} in this account.", "Give the list a number of the account."
                )
            if not said.is_good:
                raise Refused(said, SCOPE)
        words = f"Replies to {self.number} come to {host_of(self.url)}."
        if notes := self._replaced(before) + self._keyed(keyed):
            return warning(" ".join((words, *notes)), "If they are still needed there, have them passed on from here.")
        return done(words)

    def undo(self) -> Dialogue[Outcome]:
        general, _ = yield from self._found((yield from self._target()))
        before = _forwarding(general)
        if before.get("url") != self.url:
            return self._left(before)
        if any(general.get(name) for name in OTHERS):
            target = yield from self._target()
            value = {"channel": "SMS", **target, "unset": ["FORWARDING"]}
            yield from want(self.api, SCOPE, "POST", CONFIGURATIONS, value)
        else:
            key = part(str(general.get("configurationKey", "")))
            try:
                yield from want(self.api, SCOPE, "DELETE", f"{CONFIGURATIONS}/{key}")
            except Refused as refusal:
                if refusal.status != 404:
                    raise
        return done(f"Replies to {self.number} are no longer forwarded to us.")

    def look(self) -> Dialogue[Outcome]:
        general, keyed = yield from self._found((yield from self._target()))
        before = _forwarding(general)
        if before != self._wanted():
            return wrong(f"Replies to {self.number} {self._astray(before)}.")
        said = f"Replies to {self.number} come to {host_of(self.url)}."
        notes = self._keyed(keyed)
        return warning(" ".join((said, *notes))) if notes else done(said)

    def _wanted(self) -> dict[str, str]:
        return {"type": "HTTP_FORWARD", "url": self.url, "format": "MO_JSON_2"}

    def _target(self) -> Dialogue[dict[str, str]]:
        """How Infobip is told which number. A short code means nothing without its country, but has a key."""
        if self.number.startswith("+"):
            return {"number": digits(self.number)}
        said = yield from want(self.api, SCOPE, "GET", NUMBERS, number=self.number)
        rows = objects_in(fields_in(said.value).get("numbers"))
        key = next((row.get("numberKey") for row in rows if row.get("number") == self.number), None)
        return {"numberKey": key} if isinstance(key, str) else {"number": self.number}

    def _found(self, target: dict[str, str]) -> Dialogue[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """The configuration for every text (empty: none) and those for keywords."""
        said = yield from self.api.ask("GET", CONFIGURATIONS, channel="SMS", **target)
        if said.status == 404:
            return {}, []
        if not said.is_good or not isinstance(said.value, list):
            raise Refused(said, SCOPE)
        rows = objects_in(said.value)
        return next((row for row in rows if not row.get("keyword")), {}), [row for row in rows if row.get("keyword")]

    def _replaced(self, before: dict[str, Any]) -> tuple[str, ...]:
        if not before or before.get("url") == self.url:
            return ()
        if host_of(before.get("url")) == host_of(self.url):
            return ("Until now they came to another address of ours.",)
        where = self._shown(before)
        return (f"Until now they went to {where}, which gets them no more; taking this back does not restore it.",)

    def _keyed(self, keyed: list[dict[str, Any]]) -> tuple[str, ...]:
        astray = [
            row for row in keyed if _forwarding(row) and host_of(_forwarding(row).get("url")) != host_of(self.url)
        ]
        if not astray:
            return ()
        return (f"Texts with {len(astray)} keyword(s) go elsewhere and do not reach us.",)

    def _astray(self, before: dict[str, Any]) -> str:
        if not before:
            return "are not forwarded to us"
        if host_of(before.get("url")) == host_of(self.url):
            return "come to another address of ours, or in another format"
        return f"go to {self._shown(before)}, not to us"

    def _left(self, before: dict[str, Any]) -> Outcome:
        if not before:
            return done(f"Replies to {self.number} were not forwarded to us.")
        if host_of(before.get("url")) == host_of(self.url):
            said = f"Replies to {self.number} come to another address of ours, which was left as it is."
            return warning(
                said, "If no other provider account here uses the number, take the forwarding out in the portal."
            )
        return done(f"Replies to {self.number} go to {self._shown(before)} by now, which was left as it is.")

    def _shown(self, before: dict[str, Any]) -> str:
        host = host_of(before.get("url"))
        return host if self.api.is_home and host else "another place"


def _forwarding(row: dict[str, Any]) -> dict[str, Any]:
    """Where it forwards to, without what Infobip may add to the three fields; empty when it does not forward."""
    found = fields_in(row.get("forwarding"))
    return {name: found[name] for name in ("type", "url", "format") if found.get(name)}
