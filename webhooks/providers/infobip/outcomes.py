"""Owns how a call of a set-up step ends: with what was asked for, or with an outcome that says what is wrong and what to do."""

from collections.abc import Callable
from typing import Any

from trackly.calls import Dialogue
from webhooks.orders import Outcome, StepState
from webhooks.providers.infobip.api import Api, Said, fields_in

AGAIN = "Configure again."


class Refused(Exception):
    """A call ended otherwise than its step needs; carries the step's outcome."""

    def __init__(self, said: Said, scope: str) -> None:
        words, fix = said.problem(scope)
        self.status = said.status
        self.outcome = Outcome(state=StepState.FAILED, said=words, fix=fix, is_temporary=said.is_temporary)
        super().__init__(words)


def want(api: Api, scope: str, method: str, path: str, value: Any = None, **query: str | int) -> Dialogue[Said]:
    """A good answer; raises Refused."""
    said = yield from api.ask(method, path, value, **query)
    if not said.is_good:
        raise Refused(said, scope)
    return said


def find(api: Api, scope: str, path: str) -> Dialogue[dict[str, Any] | None]:
    """What stands there, None when nothing does; raises Refused."""
    said = yield from api.ask("GET", path)
    if said.status == 404:
        return None
    if not said.is_good or not fields_in(said.value):
        raise Refused(said, scope)
    return fields_in(said.value)


def drop(api: Api, scope: str, path: str) -> Dialogue[bool]:
    """Deleted, or not there; False when something else still uses it; raises Refused."""
    said = yield from api.ask("DELETE", path)
    if not said.is_good and said.status not in (400, 404, 409):
        raise Refused(said, scope)
    return said.status not in (400, 409)


def guarded(step: Callable[[], Dialogue[Outcome]]) -> Callable[[], Dialogue[Outcome]]:
    """The step, its refusal turned into its outcome."""

    def run() -> Dialogue[Outcome]:
        try:
            return (yield from step())
        except Refused as refusal:
            return refusal.outcome

    return run


def done(said: str) -> Outcome:
    return Outcome(state=StepState.DONE, said=said)


def warning(said: str, fix: str = "") -> Outcome:
    return Outcome(state=StepState.WARNING, said=said, fix=fix)


def wrong(said: str, fix: str = AGAIN) -> Outcome:
    return Outcome(state=StepState.FAILED, said=said, fix=fix)
