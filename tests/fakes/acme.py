"""Owns Acme: a made-up provider of the plainest kind, adapter and server, for tests of what happens around any provider.

GET /me with the header Key lists numbers; PUT and DELETE /hooks/{name} tell it our URL, or to forget it.
"""

import json
from urllib.parse import quote

from tests.fakes.server import FakeServer, Response, Seen, as_json
from trackly.calls import Answer, Call, Dialogue
from webhooks.orders import CannotUse, Checked, Hook, Number, Outcome, Step, StepState
from webhooks.providers.base import Config, Field, Provider, unsigned

HOME = "https://api.acme.example"
KEY = "the right key"
OURS, SECOND = "+18005550142", "+18005550143"
SETTINGS = {"base_url": HOME, "key": KEY, "password": "pass"}


class Acme(Provider):
    slug = "acme"
    name = "Acme"
    docs = "https://acme.example"
    verify = unsigned
    config = (
        Field(name="base_url", label="Base URL", default=HOME, hosts=("api.acme.example", "*.api.acme.example")),
        Field(name="key", label="Key", secret=True, required=True),
        Field(name="password", label="Callback password", secret=True, is_minted=True),
    )

    def check(self, config: Config) -> Dialogue[Checked]:
        answer = yield _call(config, "GET", "/me")
        if answer.status != 200:
            raise CannotUse("Acme does not take this key; copy it again from its console.")
        rows = json.loads(answer.body)
        numbers = tuple(Number(number=row["number"], name=row["name"]) for row in rows)
        return Checked(said="Acme knows you.", numbers=numbers, warnings=("It is a trial.",))

    def steps(self, config: Config, hook: Hook) -> tuple[Step, ...]:
        return tuple(_step(config, hook, name) for name in ("account", *hook.numbers))


def _step(config: Config, hook: Hook, name: str) -> Step:
    path = f"/hooks/{quote(name)}"

    def do() -> Dialogue[Outcome]:
        body = {"url": hook.url, "password": config.get("password", "")}
        return _outcome((yield _call(config, "PUT", path, json.dumps(body).encode())), "told")

    def undo() -> Dialogue[Outcome]:
        return _outcome((yield _call(config, "DELETE", path)), "forgotten")

    def look() -> Dialogue[Outcome]:
        answer = yield _call(config, "GET", path)
        is_ours = answer.status == 200 and json.loads(answer.body)["url"] == hook.url
        return Outcome(state=StepState.DONE if is_ours else StepState.FAILED, said="ours" if is_ours else "not ours")

    return Step(key=name, title=f"Hook of {name}", do=do, undo=undo, look=look)


def _call(config: Config, method: str, path: str, body: bytes = b"") -> Call:
    return Call(method=method, url=config["base_url"] + path, headers=(("Key", config.get("key", "")),), body=body)


def _outcome(answer: Answer, said: str) -> Outcome:
    if answer.status == 202:
        return Outcome(state=StepState.BY_HAND, said="Acme wants it by hand.", fix="Paste the URL in its console.")
    if answer.status == 200:
        return Outcome(state=StepState.DONE, said=said)
    return Outcome(
        state=StepState.FAILED,
        said=f"Acme answered {answer.status}.",
        fix="Ask Acme.",
        is_temporary=answer.status >= 500,
    )


class FakeAcme(FakeServer):
    def __init__(self) -> None:
        super().__init__()
        self.hooks: dict[str, dict[str, str]] = {}
        self.numbers = [{"number": OURS, "name": "Main line"}, {"number": SECOND, "name": ""}]
        self.is_by_hand = False

    def answer(self, seen: Seen) -> Response:
        if seen.headers.get("key") != KEY:
            return as_json({"secret": "what a foreign host says"}, 401)
        if seen.path == "/me":
            return as_json(self.numbers)
        name = seen.path.removeprefix("/hooks/").replace("%2B", "+")
        if self.is_by_hand:
            return as_json({}, 202)
        if seen.method == "PUT":
            self.hooks[name] = seen.json()
        elif seen.method == "DELETE":
            self.hooks.pop(name, None)
        elif name not in self.hooks:
            return as_json({}, 404)
        return as_json(self.hooks.get(name, {}))

    def done(self) -> list[tuple[str, str]]:
        """(method, what) of every call that was carried out, in order."""
        return [(seen.method, seen.path.rpartition("/")[2].replace("%2B", "+")) for seen in self.requests]
