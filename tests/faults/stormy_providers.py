"""Owns the providers of the storm: fakes that write down every text that reaches them, fail at random, and call back over HTTP,
late, early, twice, out of order or never."""

import heapq
import itertools
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from tests.fakes.infobip import FakeInfobip
from tests.fakes.server import FakeServer, Fault, Response, Seen, as_json
from tests.fakes.twilio import FakeTwilio

Callback = tuple[str, dict[str, str], bytes]


class Arrival(NamedTuple):
    """A text that reached a provider."""

    at: float
    to: str
    sender: str
    fate: str
    """'taken', 'busy' (429: certainly not taken), or how its answer was lost: 'drop_before', 'fault_after' …"""


@dataclass
class Record:
    """What the providers saw, by the text, which is different for every message."""

    arrivals: dict[str, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, text: str, arrival: Arrival) -> None:
        with self.lock:
            self.arrivals[text].append(arrival)

    def texts(self, *fates: str) -> set[str]:
        return {text for text, rows in self.arrivals.items() if any(row.fate in fates for row in rows)}

    def fates(self) -> Counter[str]:
        return Counter(row.fate for rows in self.arrivals.values() for row in rows)


# Out of a thousand sends; the rest is taken and answered.
FATES = {
    "busy": 60, "drop_before": 20, "fault_before": 8, "fault_after": 8, "drop_after": 30, "hang_after": 2, "hang_before": 1,
}  # fmt: skip
CARRIED_OUT = frozenset({"taken", "fault_after", "drop_after", "hang_after"})
# Until somebody listens, and at most so long.
PATIENCE_S = 120.0


class Mailman:
    """Posts callbacks at their time, again until they are taken."""

    def __init__(self, threads: int = 4) -> None:
        self.posted: Counter[int] = Counter()
        self._due: list[tuple[float, int, Callback, float]] = []
        self._count = itertools.count()
        self._bell = threading.Condition()
        self._busy, self._is_over = 0, False
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._bell:
            self._is_over = True
            self._bell.notify_all()
        for thread in self._threads:
            thread.join(10)

    def bring(self, callback: Callback, after_s: float = 0.0) -> None:
        self._push(time.monotonic() + after_s, callback, time.monotonic() + after_s + PATIENCE_S)

    def is_idle(self) -> bool:
        with self._bell:
            return not self._due and not self._busy

    def post(self, callback: Callback) -> int:
        """The status of the answer; 0 for none."""
        url, headers, body = callback
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, body, headers, method="POST"), timeout=20
            ) as answer:
                status = int(answer.status)
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
        except OSError:
            status = 0
        except Exception:  # half an answer of a web server that was killed
            status = 0
        self.posted[status] += 1
        return status

    def _push(self, at: float, callback: Callback, until: float) -> None:
        with self._bell:
            heapq.heappush(self._due, (at, next(self._count), callback, until))
            self._bell.notify()

    def _run(self) -> None:
        while (entry := self._take()) is not None:
            _, _, callback, until = entry
            if self.post(callback) != 200 and time.monotonic() < until:
                self._push(time.monotonic() + 0.3, callback, until)
            with self._bell:
                self._busy -= 1

    def _take(self) -> tuple[float, int, Callback, float] | None:
        with self._bell:
            while not self._is_over:
                wait_s = self._due[0][0] - time.monotonic() if self._due else 0.5
                if self._due and wait_s <= 0:
                    self._busy += 1
                    return heapq.heappop(self._due)
                self._bell.wait(min(wait_s, 0.5))
        return None


class Stormy(FakeServer):
    """Mixed into a vendor's fake. Its weather is rolled for each text."""

    record: Record
    mailman: Mailman
    dice: random.Random
    is_fair = False
    """No more faults."""
    is_slow = False
    """So that whoever is killed now has calls in flight."""

    def begin(self, record: Record, mailman: Mailman, seed: int) -> None:
        self.record, self.mailman, self.dice = record, mailman, random.Random(seed)
        # A caller that was killed is no news.
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]

    # --- told by the vendor

    def read_text(self, seen: Seen) -> tuple[str, str, str] | None:
        """(text, to, sender) of a send, numbers as E.164; None for another request."""
        raise NotImplementedError

    def callbacks_of(self, seen: Seen, response: Response) -> list[Callback]:
        """What it calls back about a text it took, in the order it should."""
        raise NotImplementedError

    def settle(self, seen: Seen, response: Response) -> None:
        """Delivered, and nobody is called back."""
        raise NotImplementedError

    # ---

    def take_fault(self, seen: Seen) -> Fault | None:
        at, sent = time.time(), self.read_text(seen)
        if sent is None:
            return None
        with self.lock:
            fate = self._roll()
            naps = self.dice.random() ** 3 * 0.4 + (1.0 if self.is_slow else 0.0)
        text, to, sender = sent
        self.record.note(text, Arrival(at=at, to=to, sender=sender, fate=fate))
        time.sleep(naps)
        if fate == "hang_before":
            self.wait_until_closed()
        if fate == "fault_after":
            self._carry_out_unseen(seen)
        return _FAULTS.get(fate)

    def _roll(self) -> str:
        dice = self.dice.randrange(1000)
        for fate, share in FATES.items() if not self.is_fair else ():
            dice -= share
            if dice < 0:
                return fate
        return "taken"

    def _carry_out_unseen(self, seen: Seen) -> None:
        with self.lock:
            self.answer(seen)

    def answer(self, seen: Seen) -> Response:
        response = super().answer(seen)  # type: ignore[safe-super]
        if self.read_text(seen) is not None and response.status < 300:
            self._call_back(seen, response)
        return response

    def _call_back(self, seen: Seen, response: Response) -> None:
        mood = self.dice.random()
        if mood < 0.12:
            self.settle(seen, response)
            return
        callbacks = self.callbacks_of(seen, response)
        if mood < 0.2:
            # Before the answer of the send.
            self._away_from_lock(lambda: self.mailman.post(callbacks[-1]))
        for callback in callbacks:
            for _ in range(2 if self.dice.random() < 0.25 else 1):
                self.mailman.bring(callback, self.dice.random() * 1.5)

    def _away_from_lock(self, do: Any) -> None:
        self.lock.release()
        try:
            do()
        finally:
            self.lock.acquire()


_FAULTS = {
    "busy": Fault(kind="instead", response=as_json({}, 429, Retry_After="1")),
    "drop_before": Fault(kind="drop_before"),
    "hang_before": Fault(kind="drop_before"),
    "fault_before": Fault(kind="instead", response=as_json({}, 503)),
    "fault_after": Fault(kind="instead", response=as_json({}, 500)),
    "drop_after": Fault(kind="drop_after"),
    "hang_after": Fault(kind="hang_after"),
}


class StormyInfobip(Stormy, FakeInfobip):
    def read_text(self, seen: Seen) -> tuple[str, str, str] | None:
        if seen.method != "POST" or seen.path != "/sms/3/messages":
            return None
        message = seen.json()["messages"][0]
        return message["content"]["text"], "+" + message["destinations"][0]["to"], "+" + message["sender"]

    def callbacks_of(self, seen: Seen, response: Response) -> list[Callback]:
        reference = self._reference(seen)
        last = "delivered" if self.dice.random() < 0.85 else "undelivered"
        return [self.report(reference, "enroute"), self.report(reference, last)]

    def settle(self, seen: Seen, response: Response) -> None:
        self.report(self._reference(seen), "delivered")

    def _reference(self, seen: Seen) -> str:
        return str(seen.json()["messages"][0]["destinations"][0]["messageId"])


class StormyTwilio(Stormy, FakeTwilio):
    def read_text(self, seen: Seen) -> tuple[str, str, str] | None:
        if seen.method != "POST" or not seen.path.endswith("/Messages.json"):
            return None
        form = seen.form()
        return form["Body"], form["To"], form["From"]

    def callbacks_of(self, seen: Seen, response: Response) -> list[Callback]:
        sid = self._sid(response)
        last = ("delivered",) if self.dice.random() < 0.85 else ("undelivered", "30003")
        return [self.report(sid, "sent"), self.report(sid, *last)]

    def settle(self, seen: Seen, response: Response) -> None:
        self.report(self._sid(response), "delivered")

    def _sid(self, response: Response) -> str:
        return str(Seen(method="", path="", query={}, headers={}, body=response.body).json()["sid"])
