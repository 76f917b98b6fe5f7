"""The service started as `make run` starts it, driven over HTTP as a newcomer's curl lines do."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"


class Service:
    """`manage.py up` on a free port with a data directory of its own."""

    def __init__(self, var: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        keep = {"PATH", "HOME", "LANG", "TMPDIR"}
        self.environment = {name: value for name, value in os.environ.items() if name in keep}
        self.environment |= {"TRACKLY_VAR": str(var), "PORT": str(self.port), "STATIC_ROOT": str(var / "static")}
        self.base = f"http://127.0.0.1:{self.port}"
        self.log = var / "up.log"

    def start(self) -> None:
        # A file and not a pipe: nobody reads on after the start, and a full pipe would hold it up.
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while "Ctrl-C stops everything" not in self.text:
            assert self.process.poll() is None, f"it ended at its start:\n{self.text}"
            assert time.monotonic() < deadline, f"it did not start:\n{self.text}"
            time.sleep(0.1)

    @property
    def text(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def fetch(self, url: str, body: bytes | None = None) -> str:
        with urllib.request.urlopen(urllib.request.Request(url, body, {"User-Agent": PHONE}), timeout=10) as answer:
            return str(answer.read().decode())

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Straight from its database: what the service says is not what proves it."""
        lines = (Path(self.environment["TRACKLY_VAR"]) / "postgres" / "postmaster.pid").read_text().splitlines()
        with psycopg.connect(dbname="trackly", user="postgres", host=lines[4]) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    def wait_for(self, query: str, expected: list[tuple[object, ...]]) -> None:
        deadline = time.monotonic() + 15
        while (found := self.rows(query)) != expected:
            assert time.monotonic() < deadline, f"{query}: {found}"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")


@pytest.fixture(scope="module")
def keys() -> list[str]:
    """The API key that the first start prints, and no other."""
    return []


@pytest.fixture
def key(service: "Service", keys: list[str]) -> str:
    return keys[0]


@pytest.fixture
def service(var: Path, keys: list[str]) -> Iterator[Service]:
    service = Service(var)
    service.start()
    keys.extend(re.findall(r"trk_\w+", service.text))
    yield service
    if service.process.poll() is None:
        service.stop()


def pasted(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, text
    return found.group(1)


def test_from_a_link_to_a_conversion_and_from_a_callback_to_delivered(service: Service) -> None:
    assert "password" in service.text
    destination = _location(pasted(service.text, rf"({service.base}/c/\w+)"))
    click_id = pasted(destination, r"aff_click_id=([a-z2-7]{26})$")
    postback = pasted(service.text, r'curl "(\S+)\?click_id=\$CLICK').replace("$CLICK", click_id)
    for _ in range(2):
        assert service.fetch(f"{postback}?click_id={click_id}&payout=42.00&txid=T1").startswith("Stored: click")
    service.wait_for(
        "SELECT verdict, kind, payout::text FROM postbacks_conversion ORDER BY id",
        [("recorded", "conversion", "42.000000"), ("duplicate", "", "42.000000")],
    )
    sandbox = pasted(service.text, r"webhooks  (\S+)")
    report = pasted(service.text, r"curl -d '(\{\"type\":\"report\".*?\})'")
    assert json.loads(service.fetch(sandbox, report.encode())) == {"status": "accepted"}
    service.wait_for("SELECT status FROM sendinglists_message", [("delivered",)])
    reply = pasted(service.text, r"curl -d '(\{\"type\":\"reply\".*?\})'")
    service.fetch(sandbox, reply.encode())
    service.wait_for("SELECT state FROM sendinglists_subscription", [("opted_out",)])
    service.wait_for(
        "SELECT kind, n, amount::text FROM trackly_hourlytotal WHERE kind IN ('click', 'conversion') ORDER BY kind",
        [("click", 1, "0.000000"), ("conversion", 1, "42.000000")],
    )
    assert "Sign in" in service.fetch(f"{service.base}/admin/")
    # Counted by the worker, told by the web.
    told = service.fetch(f"{service.base}/metrics")
    assert 'trackly_items_total{result="recorded",source="postback"} 1.0' in told


def test_a_message_asked_for_by_the_api_is_sent_and_reported_delivered_by_the_sandbox(
    service: Service, key: str
) -> None:
    asked = pasted(service.text, r"-d '(\{\"to\".*?\})'").encode()
    headers = {"X-Api-Key": key, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{service.base}/api/v2/send", asked, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        message_id = json.loads(answer.read())["message_id"]
    service.wait_for(f"SELECT status FROM sendinglists_message WHERE public_id = '{message_id}'", [("delivered",)])
    body = service.rows(f"SELECT body FROM sendinglists_message WHERE public_id = '{message_id}'")[0][0]
    link = pasted(str(body), rf"({service.base}/c/\w+)")
    assert _location(link).startswith("https://example.com/autumn")


def test_ctrl_c_stops_everything_and_the_next_start_finds_its_data(service: Service, var: Path) -> None:
    before = service.rows("SELECT code FROM sendinglists_link")
    assert before
    assert "password" not in service.text
    started = _children(service.process.pid)
    assert len(started) >= 2
    assert service.stop() == 0
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    assert not (var / "postgres" / "postmaster.pid").exists()
    service.start()
    assert service.rows("SELECT code FROM sendinglists_link") == before


def test_a_taken_port_is_said_plainly(service: Service) -> None:
    second = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=service.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    assert f"Port {service.port} is taken" in second.stderr
    assert f"PORT={service.port + 1}" in second.stderr
    assert "Traceback" not in second.stderr


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


def _location(url: str) -> str:
    opener = urllib.request.build_opener(_Stay)
    with pytest.raises(urllib.error.HTTPError) as answer:
        opener.open(urllib.request.Request(url, headers={"User-Agent": PHONE}), timeout=10)
    assert answer.value.code == 302
    location = answer.value.headers["Location"]
    answer.value.close()
    return str(location)


def _children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(path.parent.name))
    return found
