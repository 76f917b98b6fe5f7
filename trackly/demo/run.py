"""Owns one run of the demo: what is sent in which order, the waits between, and the ledger of it."""

import http.client
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import zip_longest

from trackly.demo import campaign, stage, tables, traffic, visits
from trackly.demo.book import Book, answered
from trackly.demo.ledger import Ledger, compare
from trackly.demo.progress import Progress
from trackly.demo.sales import Hit, Sale
from trackly.demo.sending import Answer, Call, Client

WITHIN_S = 60
LOOK_EVERY_S = 0.05


class Unready(Exception):
    """The demo cannot run; the text says in a sentence what to do."""


class Run:
    """A burst against the service at one base URL."""

    def __init__(self, base: str, messages: int, *, seed: int | None, now: datetime, progress: Progress) -> None:
        self._client, self._progress = Client(base), progress
        self._base = base
        self.stage = stage.set_up()
        self.campaign = campaign.draw(self.stage, messages, seed=seed, now=now)
        self._answers = Book()

    def send(self) -> None:
        """Everything, and wait until the worker is through with it."""
        _wait_for(lambda: tables.unfinished(self.stage.account))
        self._before = tables.totals_of(self.stage.account)
        overtaking = self._send("Reports that overtake their messages", traffic.early(self.campaign))
        if all(answer.status != 200 for answer in overtaking):
            raise Unready(_OTHER_DATABASE.format(base=self._base))
        # Parked before their messages are made, or they would overtake nothing.
        self._settle()
        campaign.save(self.campaign)
        self._send("Delivery reports and replies", traffic.callbacks(self.campaign))
        self._open_links()
        self._report_sales()
        with self._progress.phase("Waiting until the worker is through", 1):
            self._settle()
            self._progress.step()

    def ledger(self) -> Ledger:
        """What was expected beside what is in the tables now."""
        found = tables.read(self.campaign, self._before)
        for line, n in self._answers.lines.items():
            found.add(line, n)
        return compare(self.campaign.expected, found)

    def _send(self, name: str, calls: Sequence[Call]) -> list[Answer]:
        expected = self.campaign.expected
        with self._progress.phase(name, len(calls)):
            try:
                answers = self._client.send(calls, self._progress.step)
            except (OSError, http.client.HTTPException) as error:
                raise Unready(f"The service at {self._base} stopped answering ({error}).") from error
        for call, answer in zip(calls, answers, strict=True):
            expected.add(answered(call.kind, call.status))
            self._answers.add(answered(call.kind, answer.status))
            if call.kept:
                expected.add(call.kept)
        return answers

    def _open_links(self) -> None:
        pairs = visits.visits(self.campaign)
        answers = self._send("Short links opened", [call for call, _ in pairs])
        for (call, sent), answer in zip(pairs, answers, strict=True):
            if sent is not None:
                visits.keep_click(sent, call, answer)

    def _report_sales(self) -> None:
        """First all first postbacks, then all second ones: each is judged before the next of its sale is sent."""
        sales = [sent.sale for sent in self.campaign.sent if sent.sale] + self.campaign.strays
        ordinals = ("first", "second", "third")
        for place, hits in enumerate(zip_longest(*([(sale, hit) for hit in sale.hits] for sale in sales))):
            self._send(f"Postbacks, the {ordinals[place]} of a sale", [self._call(*pair) for pair in hits if pair])
            self._settle()

    def _call(self, sale: Sale, hit: Hit) -> Call:
        return sale.call(hit, self.campaign.agent)

    def _settle(self) -> None:
        _wait_for(lambda: tables.waiting(self.campaign))


def _wait_for(remaining: Callable[[], int]) -> None:
    """Until nothing remains, or nothing more comes of waiting; what is left then differs in the ledger."""
    deadline = time.monotonic() + WITHIN_S
    while remaining() and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)


_OTHER_DATABASE = (
    "The service at {base} does not know the demo account: it works on another database than this command. Start both with the"
    " same DATABASE_URL (or none), or name the right service with --base."
)
