"""Owns the machine of the storm: workers and a web that die and come back, connections that are cut, what was seen of them."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from django.db import connection, connections

from sendinglists.models import Message
from tests.faults import processes

CUT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name <> ''
"""


@dataclass
class Sample:
    """One process at one moment."""

    at: float
    name: str
    pid: int
    rss_mb: float
    descriptors: int
    threads: int


@dataclass
class Machine:
    """Processes by name; their output goes to files. Everything ends with it."""

    directory: Path
    environment: dict[str, str]
    port: int
    running: dict[str, processes.Process] = field(default_factory=dict)
    ledger: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    connections_seen: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, name: str) -> None:
        module = ["-m", "gunicorn", "-c", "python:trackly.serving", "trackly.wsgi"]
        command = [sys.executable, *(module if name == "web" else ["manage.py", "work"])]
        environment = os.environ | {"DATABASE_URL": processes.database_url(), "LOG_LEVEL": "WARNING"} | self.environment
        environment |= {"PGAPPNAME": name, "BIND": f"127.0.0.1:{self.port}", "FORCE_COLOR": "", "NO_COLOR": "1"}
        with (self.directory / f"{name}.log").open("ab") as file:
            process = subprocess.Popen(
                command, cwd=processes.ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
            )
        with self.lock:
            self.running[name] = process

    def kill(self, name: str) -> None:
        """With all its children, at once."""
        process = self.running[name]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.ledger[f"killed {name.partition('-')[0]}"] += 1

    def stop(self, name: str) -> None:
        process = self.running.pop(name)
        process.terminate()
        assert process.wait(40) == 0, f"{name} did not end cleanly"

    def end(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def cut(self) -> None:
        """Every connection to the database but those of the test, which bear no name."""
        with connection.cursor() as cursor:
            cursor.execute(CUT)
            self.ledger["connections cut"] += cursor.fetchone()[0]
        self.ledger["cuts"] += 1

    def sample(self) -> None:
        with self.lock:
            known = dict(self.running)
        for name, process in known.items():
            try:
                seen = psutil.Process(process.pid)
                with seen.oneshot():
                    one = Sample(
                        time.time(), name, seen.pid, seen.memory_info().rss / 1e6, seen.num_fds(), seen.num_threads()
                    )
            except psutil.Error:
                continue
            self.samples.append(one)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            self.connections_seen.append(cursor.fetchone()[0])

    def complaints(self) -> Counter[str]:
        """What the logs say, numbers and names left out."""
        lines: Counter[str] = Counter()
        for path in sorted(self.directory.glob("*.log")):
            name = path.stem.partition("-")[0]
            for line in path.read_text(errors="replace").splitlines():
                if (
                    re.match(r"\S*(Error|Exception|Warning|psycopg\.\S+|django\.\S+)\b", line)
                    or " [" in line
                    or '"level"' in line
                ):
                    lines[f"{name}: {_plain(line)}"] += 1
        return lines


def _plain(line: str) -> str:
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    line = re.sub(r"^\S+T\S+Z?\s+|[0-9a-f]{8}-[0-9a-f-]{27}", "", line)
    return re.sub(r"\d+(\.\d+)?", "#", line)[:170]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def thunder(
    machine: Machine,
    workers: list[str],
    events: list[str],
    over_s: float,
    dice: random.Random,
    slow: Callable[[bool], None],
) -> None:
    """These things happen one after the other, spread over the time. Who is killed has calls in flight, as they are slow then."""
    for event in events:
        time.sleep(over_s / len(events) * (0.7 + 0.6 * dice.random()))
        if event == "cut":
            machine.cut()
        else:
            name = "web" if event == "web" else dice.choice(workers)
            slow(True)
            _wait_for_calls(6, at_most_s=3.0)
            machine.kill(name)
            slow(False)
            time.sleep(dice.random() * 0.5)
            machine.start(name)


def _wait_for_calls(n: int, *, at_most_s: float) -> None:
    until = time.monotonic() + at_most_s
    while time.monotonic() < until and Message.objects.filter(leased_until__isnull=False).count() < n:
        time.sleep(0.005)


def in_background(do: Callable[[], None], failures: list[BaseException]) -> threading.Thread:
    def run() -> None:
        try:
            do()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
