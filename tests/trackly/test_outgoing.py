"""The only way out: which addresses are called, that nothing goes twice, and what a failed call says about having been sent."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.server import FakeServer, Fault, Response, Seen
from trackly.barred_networks import why_barred
from trackly.calls import Answer, Barred, Call, Dialogue, Unanswered, Unreached
from trackly.outgoing import ANSWER_CAP, Client, hold_now

SECRET = "s3cr3t"
Script = Callable[[socket.socket], None]


class Anything(FakeServer):
    """Answers what it was asked."""

    response = Response(body=b"{}")

    def answer(self, seen: Seen) -> Response:
        return self.response


class Raw:
    """A server that plays one script a connection, the last for all further ones, and counts what was asked of it."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.connections = 0
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.closing = threading.Event()
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                self.connections += 1
                thread = threading.Thread(target=self._play, args=(script, connection), daemon=True)
                self.threads.append(thread)
                thread.start()

    def _play(self, script: Script, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            script(connection)

    def read(self, connection: socket.socket) -> bytes:
        """One whole request; b'' when the client is gone."""
        got = b""
        while b"\r\n\r\n" not in got:
            if not (more := connection.recv(65536)):
                return b""
            got += more
        head, _, body = got.partition(b"\r\n\r\n")
        sizes = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        while len(body) < int(sizes[0] if sizes else 0):
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def close(self) -> None:
        self.closing.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(5)


@pytest.fixture
def raw() -> Iterator[Callable[..., Raw]]:
    made: list[Raw] = []

    def make(*scripts: Callable[[Raw, socket.socket], None]) -> Raw:
        server: Raw
        bound = [lambda connection, script=script: script(server, connection) for script in scripts]
        server = Raw(*bound)
        made.append(server)
        return server

    yield make
    for server in made:
        server.close()


@pytest.fixture
def fake() -> Iterator[Anything]:
    with Anything() as server:
        yield server


def call(url: str, method: str = "POST", *calls: Call, **options: Any) -> Answer:
    """The answer to the last of these calls, made by one client."""
    last = Call(method=method, url=url, body=b"To=%2B15005550006" if method == "POST" else b"")

    async def run() -> Answer:
        async with Client(**options) as client:
            for before in calls:
                await client.make(before)
            return await client.make(last)

    return asyncio.run(run())


def looking_up(*answers: list[str]) -> Callable[..., list[Any]]:
    """A name server that says this at the first time, that at the second, and the last ever after."""
    rest = list(answers)

    def lookup(host: str, port: int, *_: Any) -> list[Any]:
        found = rest.pop(0) if len(rest) > 1 else rest[0]
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in found
        ]

    return lookup


def ok(server: Raw, connection: socket.socket) -> None:
    while server.read(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()


# --- what goes out and comes back


def test_a_call_goes_out_as_it_is_and_comes_back_whole(fake: Anything, settings: Any) -> None:
    fake.response = Response(status=422, body=b"\x00\xff", headers={"X-Odd": "a", "Content-Type": "text/plain"})

    async def run() -> Answer:
        async with Client() as client:
            headers = (("Authorization", "Basic eDp5"), ("Content-Type", "application/json"))
            return await client.make(
                Call(method="PUT", url=f"{fake.url}/a%2Fb?to=%2B1&x=a+b", headers=headers, body=b'{"a":1}')
            )

    answer = asyncio.run(run())
    assert (answer.status, answer.body, answer.header("x-odd")) == (422, b"\x00\xff", "a")
    seen = fake.requests[0]
    assert (seen.method, seen.path, seen.query, seen.body) == ("PUT", "/a%2Fb", {"to": "+1", "x": "a b"}, b'{"a":1}')
    assert seen.headers["authorization"] == "Basic eDp5"
    assert seen.headers["user-agent"] == f"Trackly/{settings.VERSION}"
    assert seen.headers["accept-encoding"] == "identity"


def test_a_post_without_a_body_says_so(raw: Any) -> None:
    server = raw(ok)
    asyncio.run(_post_nothing(server.url))
    head = server.requests[0].lower()
    assert b"content-length: 0" in head
    assert b"content-type" not in head


async def _post_nothing(url: str) -> None:
    async with Client() as client:
        await client.make(Call(method="POST", url=url))


def test_headers_come_back_in_order_and_storable(raw: Any) -> None:
    def odd(server: Raw, connection: socket.socket) -> None:
        server.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-B: \xff\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n")

    answer = call(raw(odd).url)
    assert answer.headers[:3] == (("x-b", "\ufffd"), ("x-a", "1"), ("x-b", "2"))


def test_a_redirect_is_an_answer_and_not_followed(fake: Anything, raw: Any) -> None:
    other = raw(ok)
    for status in (301, 302, 303, 307, 308):
        fake.response = Response(status=status, headers={"Location": other.url})
        for method in ("POST", "GET"):
            answer = call(fake.url, method)
            assert (answer.status, answer.header("location")) == (status, other.url)
    assert other.connections == 0


def test_cookies_are_not_kept(fake: Anything) -> None:
    fake.response = Response(headers={"Set-Cookie": "session=1; Path=/"})
    call(fake.url, "GET", Call(method="GET", url=fake.url))
    assert [seen.headers.get("cookie") for seen in fake.requests] == [None, None]


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_not_used(
    name: str, fake: Anything, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = raw(ok)
    monkeypatch.setenv(name, proxy.url)
    call(fake.url)
    assert (len(fake.requests), proxy.connections) == (1, 0)


def test_a_netrc_of_the_environment_is_not_used(
    fake: Anything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    call(fake.url)
    assert "authorization" not in fake.requests[0].headers


def test_an_endless_answer_is_left_at_the_cap(raw: Any) -> None:
    sent = []

    def endless(server: Raw, connection: socket.socket) -> None:
        server.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent.append(connection.send(b"x" * 65536))

    with pytest.raises(Unanswered, match="200 with more than 1048576 bytes"):
        call(raw(endless).url)
    assert sum(sent) < 16 * ANSWER_CAP


def test_an_answer_of_just_the_cap_is_whole(fake: Anything) -> None:
    fake.response = Response(body=b"x" * ANSWER_CAP)
    assert len(call(fake.url).body) == ANSWER_CAP


def test_a_compressed_answer_is_not_blown_up(fake: Anything) -> None:
    import zlib

    packed = zlib.compress(b"\0" * 50_000_000)
    fake.response = Response(body=packed, headers={"Content-Encoding": "deflate"})
    assert call(fake.url).body == packed


# --- what a failed call says


def test_a_name_that_does_not_exist_is_unreached() -> None:
    with pytest.raises(Unreached, match=r"^The name nowhere\.invalid cannot be looked up\.$"):
        call(f"https://nowhere.invalid/?key={SECRET}")


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example.com"])
def test_a_name_that_cannot_be_one_is_unreached_or_barred(host: str) -> None:
    with pytest.raises(Unreached):
        call(f"https://{host}/")


def test_a_refused_connection_is_unreached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreached, match=f"^No connection to 127.0.0.1:{port}: Connection refused.$") as caught:
        call(f"http://127.0.0.1:{port}/?key={SECRET}")
    assert not isinstance(caught.value, Barred)


def test_an_unreachable_network_is_unreached() -> None:
    """Connecting by TCP to a broadcast address fails in this machine's own kernel."""
    with pytest.raises(Unreached, match="^No connection to 127.255.255.255"):
        call("http://127.255.255.255:9/")


def test_a_connection_that_is_not_taken_in_time_is_unreached() -> None:
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # its backlog is full from here on, and the kernel drops what comes
            knock = waiting.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(listener.getsockname())
        began = time.monotonic()
        with pytest.raises(Unreached, match="did not take the connection within 0.3 s"):
            call(f"http://127.0.0.1:{listener.getsockname()[1]}/", connect_s=0.3)
    assert time.monotonic() - began < 2


def test_a_lookup_that_hangs_is_unreached_and_delays_no_other(fake: Anything) -> None:
    released = threading.Event()

    def lookup(host: str, port: int, *_: Any) -> list[Any]:
        if host.startswith("slow"):
            released.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async def run() -> float:
        async with Client(lookup=lookup, connect_s=1.0) as client:
            slow = [asyncio.create_task(client.make(Call(method="GET", url=f"http://slow{n}/"))) for n in range(40)]
            await asyncio.sleep(0.1)
            began = time.monotonic()
            await client.make(Call(method="GET", url=fake.url.replace("127.0.0.1", "quick.test")))
            took = time.monotonic() - began
            ends = await asyncio.gather(*slow, return_exceptions=True)
            assert {type(end) for end in ends} == {Unreached}
            released.set()
            return took

    assert asyncio.run(run()) < 0.5


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_a_connection_that_ends_after_the_request_is_unanswered(fake: Anything, fault: Any, method: str) -> None:
    fake.faults.append(Fault(kind=fault))
    with pytest.raises(Unanswered, match="ended the connection before its answer was there"):
        call(fake.url, method)


def test_a_reset_after_the_request_is_unanswered(raw: Any) -> None:
    def script(server: Raw, connection: socket.socket) -> None:
        server.read(connection)
        reset(connection)

    with pytest.raises(Unanswered, match="ended the connection"):
        call(raw(script).url)


def test_a_reset_in_the_middle_of_a_long_request_is_unanswered(raw: Any) -> None:
    def script(server: Raw, connection: socket.socket) -> None:
        connection.recv(10)
        reset(connection)

    async def run() -> None:
        async with Client() as client:
            await client.make(Call(method="POST", url=raw(script).url, body=b"x" * 1_000_000))

    with pytest.raises(Unanswered):
        asyncio.run(run())


def test_silence_after_the_request_is_unanswered(raw: Any) -> None:
    def script(server: Raw, connection: socket.socket) -> None:
        server.read(connection)
        server.closing.wait(10)

    with pytest.raises(Unanswered, match="did not answer within 0.3 s"):
        call(raw(script).url, deadline_s=0.3)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
def test_a_drip_does_not_outlast_the_deadline(raw: Any, head: bytes) -> None:
    def script(server: Raw, connection: socket.socket) -> None:
        server.read(connection)
        connection.sendall(head)
        for byte in b"HTTP/1.1 200 OK\r\n" * 100:
            connection.sendall(bytes([byte]))
            if server.closing.wait(0.05):
                return

    began = time.monotonic()
    with pytest.raises(Unanswered, match="did not answer within 0.5 s"):
        call(raw(script).url, deadline_s=0.5)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "answer",
    [
        b"220 smtp.example.com ESMTP s3cr3t\r\n",
        b"HTTP/1.1 abc s3cr3t\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\ns3cr3t\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"s3cr3t" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_an_answer_that_is_not_whole_http_is_unanswered_and_not_quoted(raw: Any, answer: bytes) -> None:
    def script(server: Raw, connection: socket.socket) -> None:
        server.read(connection)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    with pytest.raises(Unanswered) as caught:
        call(f"{raw(script).url}/?key={SECRET}")
    assert SECRET not in str(caught.value)


# --- nothing goes twice


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "DELETE"])
@pytest.mark.parametrize("end", [reset, socket.socket.close])
def test_a_request_on_a_kept_connection_that_breaks_is_not_repeated(raw: Any, method: str, end: Any) -> None:
    def breaks(server: Raw, connection: socket.socket) -> None:
        server.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        server.read(connection)
        end(connection)

    server = raw(breaks, ok)
    with pytest.raises(Unanswered):
        call(server.url, method, Call(method="GET", url=server.url))
    assert (server.connections, len(server.requests)) == (1, 2)


def test_a_kept_connection_closed_in_the_meantime_is_not_used(raw: Any) -> None:
    def closes(server: Raw, connection: socket.socket) -> None:
        server.read(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    server = raw(closes, ok)

    async def run() -> Answer:
        async with Client() as client:
            await client.make(Call(method="GET", url=server.url))
            await asyncio.sleep(0.1)
            return await client.make(Call(method="POST", url=server.url, body=b"x"))

    assert asyncio.run(run()).status == 200
    assert (server.connections, len(server.requests)) == (2, 2)


def test_connections_are_kept_between_calls(raw: Any) -> None:
    server = raw(ok)
    call(server.url, "POST", *[Call(method="GET", url=server.url)] * 5)
    assert (server.connections, len(server.requests)) == (1, 6)


# --- which addresses are called


DENIED = """0.0.0.0 0.1.2.3 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 127.255.255.255 169.254.0.0
169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.0.255 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255
198.18.0.0 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:8.8.8.8 64:ff9b::a9fe:a9fe 64:ff9b::127.0.0.1
64:ff9b::10.0.0.1 64:ff9b:1::1 64:ff9b:1:ffff::8.8.8.8 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:1ff::1
2001:db8::1 2002:7f00:1::1 2002:808:808::1 3fff::1 3fff:fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0
febf::1 fec0::1 feff::1 ff02::1 ff0e::1 nonsense""".split()  # noqa: SIM905
CALLED = """1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.1.1.1 128.0.0.1 169.253.1.1 172.15.1.1
172.32.0.1 192.0.1.1 192.0.3.1 192.88.98.1 192.167.1.1 198.17.1.1 198.20.0.0 203.0.112.1 223.255.255.255
2606:4700::1111 2001:4860:4860::8888 2001:200::1 64:ff9b::8.8.8.8 2a00:1450::1 2003::1 3ffe::1""".split()  # noqa: SIM905


@pytest.mark.parametrize("address", DENIED)
def test_what_is_not_the_public_internet_is_not_called(address: str) -> None:
    assert why_barred(address)


@pytest.mark.parametrize("address", CALLED)
def test_the_public_internet_is_called(address: str) -> None:
    assert why_barred(address) is None


@pytest.mark.parametrize("address", [a for a in DENIED if a != "nonsense" and "%" not in a])
def test_every_such_address_is_barred_at_connect_as_a_literal_and_behind_a_name(address: str, settings: Any) -> None:
    settings.OUTGOING_ALLOW = []
    literal = f"[{address}]" if ":" in address else address
    for scheme in ("https", "http"):
        with pytest.raises(Barred):
            call(f"{scheme}://{literal}/")
        with pytest.raises(Barred):
            call(f"{scheme}://evil.example/", lookup=looking_up([address]))


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "127.1", "127.0.1", "017700000001", "localhost",
     "localhost.", "127.0.0.1.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "0",
     "１２７.0.0.1", "127。0。0。1"],
)  # fmt: skip
def test_no_spelling_of_this_machine_is_called(host: str, settings: Any, raw: Any) -> None:
    settings.OUTGOING_ALLOW = []
    server = raw(ok)
    for scheme in ("http", "https"):
        with pytest.raises(Unreached):
            call(f"{scheme}://{host}:{server.port}/")
    assert server.connections == 0


def test_http_is_for_allowed_networks_only(settings: Any) -> None:
    with pytest.raises(Barred, match=r"^1\.1\.1\.1 is not called: called by https only\.$"):
        call("http://1.1.1.1/")


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1/", "file:///etc/passwd", "unix:///run/x", "//127.0.0.1/", "127.0.0.1", "", "https://", "https:///x",
     "https://user:s3cr3t@127.0.0.1/", "https://user@127.0.0.1/", "https://user＠127.0.0.1/", "https://@127.0.0.1/", "https://:@127.0.0.1/",
     "https://127.0.0.1:99999/", "https://127.0.0.1:x/", "https://127.0.0.1:0/", "https://[::1/", "https://a b/",
     "https://api.example.com\\@127.0.0.1/", "https://127.0.0.1/\r\nX: y", "https://127.0.0.1/\tx", "HTTPS+UNIX://x/"],
)  # fmt: skip
def test_what_is_no_plain_address_is_barred(url: str) -> None:
    with pytest.raises(Barred) as caught:
        call(url)
    assert SECRET not in str(caught.value)


def test_a_line_break_in_a_header_is_barred(fake: Anything) -> None:
    async def run() -> None:
        async with Client() as client:
            await client.make(Call(method="GET", url=fake.url, headers=(("Authorization", f"{SECRET}\r\nX: y"),)))

    with pytest.raises(Barred) as caught:
        asyncio.run(run())
    assert SECRET not in str(caught.value)
    assert fake.requests == []


def test_a_name_that_changes_after_it_was_judged_is_not_followed(raw: Any, settings: Any) -> None:
    """The first answer is judged and connected to; the second, elsewhere, is judged anew."""
    settings.OUTGOING_ALLOW = ["127.0.0.2"]
    server = raw(ok)
    lookup = looking_up(["127.0.0.2"], ["127.0.0.1"])
    with pytest.raises(Unreached) as first:
        call(f"http://rebind.example:{server.port}/", lookup=lookup)
    # It went to 127.0.0.2, where nobody listens, without a second lookup between the judging and the connecting.
    assert not isinstance(first.value, Barred)
    with pytest.raises(Barred):
        call(f"http://rebind.example:{server.port}/", lookup=lookup)
    assert server.connections == 0


def test_the_socket_is_judged_even_where_the_lookup_was_not(settings: Any, raw: Any) -> None:
    """What comes out of the lookup turns into another address when it is read again."""

    class Turning(tuple):
        reads = 0

        def __getitem__(self, index: Any) -> Any:
            if index == 0:
                Turning.reads += 1
                return "127.0.0.2" if Turning.reads == 1 else "127.0.0.1"
            return super().__getitem__(index)

    settings.OUTGOING_ALLOW = ["127.0.0.2"]
    server = raw(ok)

    def lookup(host: str, port: int, *_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", Turning(("127.0.0.1", port)))]

    with pytest.raises(Barred):
        call(f"http://turning.example:{server.port}/", lookup=lookup)
    assert (server.connections, Turning.reads > 1) == (0, True)


def test_of_a_name_with_several_addresses_only_the_allowed_are_called(settings: Any, raw: Any) -> None:
    settings.OUTGOING_ALLOW = ["127.0.0.1"]
    server = raw(ok)
    url = f"http://both.example:{server.port}/"
    assert call(url, lookup=looking_up(["10.0.0.1", "::1", "127.0.0.1"])).status == 200


def test_a_name_with_none_but_private_addresses_is_barred_for_good(settings: Any) -> None:
    settings.OUTGOING_ALLOW = []
    for addresses in (["10.0.0.1", "127.0.0.1"], ["169.254.169.254", "fd00:ec2::254", "10.0.0.1"]):
        with pytest.raises(Barred, match="^many.example is not called: "):
            call("https://many.example/", lookup=looking_up(addresses))


# --- routes


def test_a_route_leads_elsewhere_and_may_be_private_and_http(settings: Any, fake: Anything) -> None:
    settings.OUTGOING_ALLOW = []
    settings.OUTGOING_ROUTES = {"https://api.example.com": fake.url}
    assert call("https://api.example.com/v1/Messages%2F?x=%2B1&y=a%20b").status == 200
    seen = fake.requests[0]
    assert (seen.path, seen.query) == ("/v1/Messages%2F", {"x": "+1", "y": "a b"})
    assert seen.headers["host"] == fake.url.removeprefix("http://")


@pytest.mark.parametrize(
    "url", ["https://api.example.com:444/", "http://api.example.com/", "https://api.example.com.invalid/"]
)
def test_a_route_is_for_its_own_origin_only(url: str, settings: Any, fake: Anything) -> None:
    settings.OUTGOING_ALLOW = []
    settings.OUTGOING_ROUTES = {"https://api.example.com": fake.url}
    with pytest.raises(Unreached):
        call(url, lookup=looking_up(["10.0.0.1"]))
    with pytest.raises(Barred):
        call(fake.url)
    assert fake.requests == []


@pytest.mark.parametrize("url", ["https://API.example.com:443", "https://api.example.com", "https://api.example.com?q"])
def test_a_route_takes_every_spelling_of_its_origin(url: str, settings: Any, fake: Anything) -> None:
    settings.OUTGOING_ROUTES = {"https://api.example.com/": fake.url}
    assert call(url).status == 200


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate for secure.example, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=secure.example", "-addext", "subjectAltName=DNS:secure.example", "-keyout", "-", "-out", "-"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(made.stdout)
    return path


@pytest.fixture
def secure(raw: Any, certificate: Path) -> Raw:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def script(server: Raw, connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            ok(server, wrapped)

    return raw(script)


def test_a_certificate_nobody_vouches_for_is_unreached(secure: Raw) -> None:
    with pytest.raises(
        Unreached, match=r"certificate of secure\.example:\d+ was not accepted: self.signed certificate"
    ):
        call(f"https://secure.example:{secure.port}/", lookup=looking_up(["127.0.0.1"]))
    assert secure.requests == []


def test_a_certificate_of_another_host_is_unreached(secure: Raw, certificate: Path) -> None:
    tls = ssl.create_default_context(cafile=str(certificate))
    with pytest.raises(Unreached, match="certificate of other.example"):
        call(f"https://other.example:{secure.port}/", lookup=looking_up(["127.0.0.1"]), tls=tls)
    assert secure.requests == []


def test_a_certificate_of_this_host_is_taken(secure: Raw, certificate: Path) -> None:
    tls = ssl.create_default_context(cafile=str(certificate))
    answer = call(f"https://secure.example:{secure.port}/", lookup=looking_up(["127.0.0.1"]), tls=tls)
    assert (answer.status, len(secure.requests)) == (200, 1)


def test_a_server_without_tls_is_unreached(fake: Anything) -> None:
    with pytest.raises(Unreached, match="^No TLS with 127.0.0.1"):
        call(fake.url.replace("http:", "https:"))


def test_a_connection_that_ends_during_the_handshake_is_unreached(raw: Any) -> None:
    for end in (reset, socket.socket.close):
        server = raw(lambda server, connection, end=end: (connection.recv(1), end(connection)))
        with pytest.raises(Unreached):
            call(server.url.replace("http:", "https:"))


def test_a_handshake_that_hangs_is_unreached(raw: Any) -> None:
    server = raw(lambda server, connection: server.closing.wait(10))
    with pytest.raises(Unreached, match=r"did not take the connection within 0\.3 s"):
        call(server.url.replace("http:", "https:"), connect_s=0.3)


# --- dialogues


def test_a_dialogue_gets_its_answers_and_returns_its_result(fake: Anything) -> None:
    def both() -> Dialogue[list[int]]:
        first = yield Call(method="GET", url=fake.url)
        fake.response = Response(status=201)
        second = yield Call(method="POST", url=fake.url, body=b"{}")
        return [first.status, second.status]

    assert hold_now(both()) == [200, 201]


def test_a_dialogue_may_catch_how_a_call_ended_and_go_on(fake: Anything) -> None:
    fake.faults.append(Fault(kind="drop_after"))

    def careful() -> Dialogue[list[object]]:
        ends: list[object] = []
        for url in (fake.url, "https://10.0.0.1/", "https://nowhere.invalid/"):
            try:
                yield Call(method="GET", url=url)
            except (Unreached, Unanswered) as error:
                ends.append(type(error))
        answer = yield Call(method="GET", url=fake.url)
        return [*ends, answer.status]

    assert hold_now(careful()) == [Unanswered, Barred, Unreached, 200]


def test_what_a_dialogue_does_not_catch_comes_out_and_it_is_closed() -> None:
    ends = []

    def careless() -> Dialogue[None]:
        try:
            yield Call(method="GET", url="https://10.0.0.1/")
        finally:
            ends.append("closed")

    with pytest.raises(Barred):
        hold_now(careless())
    assert ends == ["closed"]


def test_a_dialogue_may_end_without_a_call() -> None:
    def silent() -> Dialogue[int]:
        return 7
        yield

    assert hold_now(silent()) == 7


def test_a_dialogue_somebody_waits_for_ends_in_time_however_many_calls_it_makes(fake: Anything) -> None:
    ends = []

    def endless() -> Dialogue[None]:
        try:
            while True:
                yield Call(method="GET", url=fake.url)
        finally:
            ends.append("closed")

    began = time.monotonic()
    with pytest.raises(Unanswered, match=r"took longer than 0\.5 s"):
        hold_now(endless(), hold_s=0.5)
    assert time.monotonic() - began < 5
    assert ends == ["closed"]


@pytest.mark.parametrize("sign", ["\n", "\r", "\0", "\x01", "\x1f", "\x7f"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_control_character_in_a_header_bars_the_call_before_anything_is_sent(
    fake: Anything, sign: str, place: int
) -> None:
    header = ("X-Key", f"a{sign}b") if place else (f"X-{sign}Key", "a")

    def keyed() -> Dialogue[int]:
        return (yield Call(method="GET", url=fake.url, headers=(header,))).status

    with pytest.raises(Barred, match="control character"):
        hold_now(keyed())
    assert fake.requests == []
