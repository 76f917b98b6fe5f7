"""Owns the people of the storm: a customer's systems that call the API, and recipients who leave and come back, each with a
record of when the way to whom was closed."""

import http.client
import json
import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connections

from sendinglists.models import SendingList, Subscription
from tests import factories
from tests.faults.stormy_providers import Mailman, Stormy, StormyInfobip
from trackly.models import Account

GIVE_UP_S = 60.0
# So many texts are asked for as fast as they can be, then there is a pause.
BURST = 30


class Api:
    """The HTTP API under one key, as a program calls it: again until it is answered."""

    def __init__(self, account: Account, port: int) -> None:
        row = factories.ApiKeyFactory.build(account=account)
        self._key, self._port = row.mint(), port
        row.save()
        self.answers: Counter[int] = Counter()

    def call(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        until = time.monotonic() + GIVE_UP_S
        while True:
            status, said = self._try(method, path, body, key)
            self.answers[status] += 1
            if status and status < 500:
                return status, said
            assert time.monotonic() < until, f"{method} {path} is never answered, at last {status}"
            time.sleep(0.2)

    def _try(self, method: str, path: str, body: Any, key: str) -> tuple[int, Any]:
        link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        headers = {"X-Api-Key": self._key, "Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        try:
            link.request(method, f"/api/v2/{path}", json.dumps(body) if body is not None else None, headers)
            answer = link.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None
        finally:
            link.close()


@dataclass
class Closure:
    """One number is closed for these lists."""

    phone: str
    lists: frozenset[int]
    how: str
    since: float
    """When it was answered to have been done, or was first seen to be so."""
    until: float = float("inf")
    """When it was begun to be undone."""


@dataclass
class Line:
    """One sending list, and who speaks for it."""

    row: SendingList
    provider: Stormy
    api: Api
    siblings: list["Line"]
    """All of its account, itself included."""

    def scope(self) -> frozenset[int]:
        """What its STOP closes."""
        of = {
            "list": lambda other: other is self,
            "brand": lambda other: other is self or other.row.brand == self.row.brand,
            "account": lambda other: True,
        }[self.row.opt_out_scope]
        return frozenset(other.row.id for other in self.siblings if of(other))

    def of_brand(self) -> frozenset[int]:
        return frozenset(other.row.id for other in self.siblings if other.row.brand == self.row.brand)

    def all(self) -> frozenset[int]:
        return frozenset(other.row.id for other in self.siblings)


@dataclass
class Crowd:
    """Recipients of one account. A phone belongs to one thread, so that what happens to it has an order."""

    lines: list[Line]
    phones: list[str]
    mailman: Mailman
    is_over: threading.Event
    addressed: deque[str]
    """To whom a text was asked for just now."""
    closures: list[Closure] = field(default_factory=list)
    entries: list[tuple[str, float, float]] = field(default_factory=list)
    """Phone, when its STOP was taken with 200, when it was seen to be entered."""
    errors: list[BaseException] = field(default_factory=list)

    def threads(self, n: int, seed: int) -> Iterator[threading.Thread]:
        for index in range(n):
            yield threading.Thread(target=self._live, args=(self.phones[index::n], random.Random(seed + index)))

    def _live(self, phones: list[str], dice: random.Random) -> None:
        gone: dict[str, tuple[Closure, Callable[[], None]]] = {}
        own = set(phones)
        try:
            while not self.is_over.is_set():
                phone = self._choose(phones, own, dice)
                if phone not in gone:
                    gone[phone] = self._leave(phone, dice)
                elif dice.random() < 0.8:
                    closure, undo = gone.pop(phone)
                    closure.until = time.time()
                    undo()
                self.is_over.wait(dice.random() * 0.1)
        except BaseException as error:
            self.errors.append(error)
        finally:
            connections.close_all()

    def _choose(self, phones: list[str], own: set[str], dice: random.Random) -> str:
        expecting = [phone for phone in list(self.addressed) if phone in own]
        return expecting[-1] if expecting and dice.random() < 0.7 else dice.choice(phones)

    def _leave(self, phone: str, dice: random.Random) -> tuple[Closure, Callable[[], None]]:
        line = dice.choice(self.lines)
        how = dice.choice(("stop", "stop", "opt-out", "everything", "brand", "suppress"))
        lists, do, undo = {
            "stop": (line.scope(), lambda: self._say(line, phone, "STOP"), lambda: self._say(line, phone, "START")),
            "opt-out": (line.scope(), *self._asks(line, phone)),
            "everything": (line.all(), *self._closes(line, phone, {"phone": phone}, "contacts/opt-out", "")),
            "brand": (line.of_brand(), *self._closes(line, phone, {"phone": phone, "brand": line.row.brand})),
            "suppress": (line.all(), *self._closes(line, phone, {"phone": phone})),
        }[how]
        do()
        closure = Closure(phone=phone, lists=lists, how=how, since=time.time())
        self.closures.append(closure)
        return closure, undo

    def _asks(self, line: Line, phone: str) -> tuple[Callable[[], None], Callable[[], None]]:
        body = {"phone": phone, "list_id": line.row.id}
        return (lambda: _done(line.api.call("POST", "contacts/opt-out", body)),
                lambda: _done(line.api.call("POST", "contacts/opt-in", body)))  # fmt: skip

    def _closes(
        self, line: Line, phone: str, body: dict[str, str], path: str = "suppressions", brand: str | None = None
    ) -> tuple[Callable[[], None], Callable[[], None]]:
        named = body.get("brand", brand or "").replace(" ", "%20")
        undo = f"suppressions/%2B{phone[1:]}" + (f"?brand={named}" if named else "")
        return (lambda: _done(line.api.call("POST", path, body)), lambda: _done(line.api.call("DELETE", undo), 404))

    def _say(self, line: Line, phone: str, word: str) -> None:
        """By SMS, told twice at times; returns when it was seen to be entered."""
        with line.provider.lock:
            callback = _reply(line, phone, word)
        while self.mailman.post(callback) != 200:
            time.sleep(0.2)
        told = time.time()
        if len(self.closures) % 4 == 0:
            self.mailman.bring(callback, 0.7)
        wanted = "opted_out" if word == "STOP" else "subscribed"
        until = time.monotonic() + GIVE_UP_S
        while not _stands(line, phone, wanted):
            assert time.monotonic() < until, f"{word} is never entered"
            time.sleep(0.01)
        if word == "STOP":
            self.entries.append((phone, told, time.time()))


def _stands(line: Line, phone: str, state: str) -> bool:
    return Subscription.objects.filter(sending_list=line.row, contact__phone=phone, state=state).exists()


def _reply(line: Line, phone: str, word: str) -> tuple[str, dict[str, str], bytes]:
    if isinstance(line.provider, StormyInfobip):
        key = f"mo-{phone}-{word}-{time.time_ns()}"
        return line.provider.reply(phone[1:], line.row.number[1:], word, id=key)
    return line.provider.reply(phone, line.row.number, word)  # type: ignore[attr-defined, no-any-return]


def _done(answer: tuple[int, Any], *others: int) -> None:
    assert answer[0] in (200, 204, *others), answer


@dataclass
class Sender:
    """A customer's system that sends: each text under a key of its own, many asked for more than once and at the same time."""

    lines: list[Line]
    phones: dict[int, list[str]]
    addressed: dict[int, deque[str]]
    dice: random.Random
    answers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    news: Counter[str] = field(default_factory=Counter)
    """How often a key was answered 201."""
    errors: list[BaseException] = field(default_factory=list)

    def plan(self, n: int) -> list[tuple[str, Line, str]]:
        """(key, list, recipient); repeated ones stand close together."""
        plan = []
        for index in range(n):
            line = self.dice.choice(self.lines)
            one = (f"key-{index}", line, self.dice.choice(self.phones[line.row.account_id]))
            plan += [one] * (1 + (self.dice.random() < 0.3) + (self.dice.random() < 0.1))
        return plan

    def threads(self, n_threads: int, plan: list[tuple[str, Line, str]], over_s: float) -> Iterator[threading.Thread]:
        entries, lock, began = iter(enumerate(plan)), threading.Lock(), time.monotonic()

        def run() -> None:
            try:
                while True:
                    with lock:
                        entry = next(entries, None)
                    if entry is None:
                        return
                    index, (key, line, phone) = entry
                    at = began + over_s * (index - index % BURST) / len(plan)
                    time.sleep(max(0.0, at - time.monotonic()))
                    self._send(key, line, phone)
            except BaseException as error:
                self.errors.append(error)

        for _ in range(n_threads):
            yield threading.Thread(target=run)

    def _send(self, key: str, line: Line, phone: str) -> None:
        body = {"to": phone, "list_id": line.row.id, "body": f"Text {key}"}
        status, said = line.api.call("POST", "send", body, key)
        self.addressed[line.row.account_id].append(phone)
        assert status in (200, 201), (status, said)
        self.news[key] += status == 201
        self.answers[key].add(said["message_id"])
