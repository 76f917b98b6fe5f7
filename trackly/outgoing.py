"""Owns the only outbound HTTP: Client makes calls, hold() leads a dialogue with them.

The address is judged where the socket is made, so that the one judged is the one connected to. Nothing is sent twice, and how
a call ends says whether any of it was sent. Redirects, cookies and the environment's proxies are left alone.
"""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from django.conf import settings
from yarl import URL

from trackly.barred_networks import why_barred
from trackly.calls import Answer, Barred, Call, Dialogue, Unanswered, Unreached
from trackly.clients import Network, parse_networks, within

T = TypeVar("T")
DEADLINE_S = 15.0
CONNECT_S = 5.0
# For a whole dialogue that somebody waits for: one that pages through slow answers would hold a thread of the web for hours.
HOLD_S = 60.0
ANSWER_CAP = 1024 * 1024
# Shorter than any server's patience (5 s is the least in use): a POST written just as the server closes an idle connection
# would be one of which nobody knows whether it was carried out.
KEEP_ALIVE_S = 2.0
# A name server that does not answer holds a thread for half a minute; others' names are looked up meanwhile.
_LOOKUPS = 64
# Readers of addresses differ in what they make of these.
_ODD = re.compile(r"[\x00-\x20\x7f\\]")
# What aiohttp refuses in a header by an error of its own: a key that was pasted with more than is seen of it.
_BREAK = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# (address) -> why it is not called, or None.
Judge = Callable[[str], str | None]
# As socket.getaddrinfo.
Lookup = Callable[..., list[Any]]


class Client:
    """Makes calls while it is entered, on the loop that entered it; connections are kept between them for a moment."""

    def __init__(
        self,
        *,
        deadline_s: float = DEADLINE_S,
        connect_s: float = CONNECT_S,
        tls: ssl.SSLContext | None = None,
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(total=deadline_s, connect=connect_s)
        self._tls = tls
        self._lookup = lookup
        self._allowed = parse_networks(tuple(settings.OUTGOING_ALLOW))
        self._routes = {_origin(URL(source)): URL(target) for source, target in settings.OUTGOING_ROUTES.items()}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._threads = ThreadPoolExecutor(_LOOKUPS, "lookup")
        self._stack.callback(self._threads.shutdown, wait=False, cancel_futures=True)
        # A pool for each judge: a kept connection serves only calls that were allowed to open it.
        self._public = await self._session(_public(self._allowed))
        self._inner = await self._session(_inner(self._allowed))
        self._routed = await self._session(lambda address: None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def make(self, call: Call) -> Answer:
        """The answer, whatever its status. Raises Barred, Unreached or Unanswered; their texts are for people."""
        asked = _read(call)
        route = self._routes.get(_origin(asked))
        url = _moved(asked, route) if route else asked
        session = self._routed if route else self._public if url.scheme == "https" else self._inner
        try:
            return await self._exchange(session, call, url)
        except aiohttp.ClientConnectorError as error:
            raise _unreached(error, url) from None
        except aiohttp.ConnectionTimeoutError:
            raise Unreached(f"{_place(url)} did not take the connection within {self._timeout.connect:g} s.") from None
        except aiohttp.InvalidURL:
            raise Barred(f"{url.raw_host} is no host's name and no plain address.") from None
        except TimeoutError:
            raise Unanswered(f"{_place(url)} did not answer within {self._timeout.total:g} s.") from None
        except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError):
            raise Unanswered(f"The answer of {_place(url)} cannot be read as HTTP, or broke off.") from None
        except (aiohttp.ClientError, OSError):
            raise _cut(url) from None

    async def _exchange(self, session: aiohttp.ClientSession, call: Call, url: URL) -> Answer:
        sending = session.request(
            call.method, url, headers=call.headers, data=call.body or None, allow_redirects=False,
            skip_auto_headers=("Content-Type",),
        )  # fmt: skip
        async with sending as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > ANSWER_CAP:
                    response.close()
                    raise Unanswered(f"{_place(url)} answered {response.status} with more than {ANSWER_CAP} bytes.")
            headers = tuple((name.lower(), _printable(value)) for name, value in response.headers.items())
            return Answer(status=response.status, headers=headers, body=bytes(body))

    async def _session(self, judge: Judge) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(judge, self._lookup, self._threads), socket_factory=_guarded(judge),
            ssl=self._tls or True, limit=0, keepalive_timeout=KEEP_ALIVE_S,
        )  # fmt: skip
        session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False,
            auto_decompress=False, middlewares=(_once,),
            headers={"User-Agent": f"Trackly/{settings.VERSION}", "Accept-Encoding": "identity"},
        )  # fmt: skip
        return await self._stack.enter_async_context(session)


async def hold(dialogue: Dialogue[T], client: Client) -> T:
    """What the dialogue returns. Unreached, Barred and Unanswered are thrown into it; those it does not catch come out."""
    try:
        call = next(dialogue)
        while True:
            try:
                answer = await client.make(call)
            except (Unreached, Unanswered) as error:
                call = dialogue.throw(error)
            else:
                call = dialogue.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        dialogue.close()


def hold_now(dialogue: Dialogue[T], *, hold_s: float = HOLD_S) -> T:
    """The same for a form or a command, which wait for it, but no longer than hold_s."""

    async def run() -> T:
        async with Client() as client:
            return await _hold_within(hold_s, dialogue, client)

    return asyncio.run(run())


async def _hold_within(hold_s: float, dialogue: Dialogue[T], client: Client) -> T:
    try:
        async with asyncio.timeout(hold_s):
            return await hold(dialogue, client)
    except TimeoutError:
        raise Unanswered(f"The calls together took longer than {hold_s:g} s.") from None


class _Refused(OSError):
    """Our own guard; an OSError, because connecting may go on with another address."""


class _Resolver(AbstractResolver):
    """Looks names up in threads of its own, and leaves out the addresses that may not be called."""

    def __init__(self, judge: Judge, lookup: Lookup, threads: ThreadPoolExecutor) -> None:
        self._judge, self._lookup, self._threads = judge, lookup, threads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        def look_up() -> list[Any]:
            return self._lookup(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)

        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        except UnicodeError as error:
            raise socket.gaierror(socket.EAI_NONAME, "no host's name") from error
        judged = [(self._judge(where[0]), kind, where) for kind, _, _, _, where in found]
        allowed = [_result(host, kind, where) for why, kind, where in judged if why is None]
        if not allowed:
            raise _Refused(next((why for why, _, _ in judged if why), "no address"))
        return allowed

    async def close(self) -> None:
        """The threads are the client's."""


def _result(host: str, family: socket.AddressFamily, where: tuple[Any, ...]) -> ResolveResult:
    return ResolveResult(
        hostname=host, host=where[0], port=where[1], family=family, proto=0, flags=socket.AI_NUMERICHOST
    )


def _guarded(judge: Judge) -> Callable[[Any], socket.socket]:
    def make(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, where = info
        why = judge(where[0])
        if why is not None:
            raise _Refused(why)
        return socket.socket(family, kind, protocol)

    return make


def _public(allowed: tuple[Network, ...]) -> Judge:
    return lambda address: None if within(address, allowed) else why_barred(address)


def _inner(allowed: tuple[Network, ...]) -> Judge:
    return lambda address: None if within(address, allowed) else why_barred(address) or "called by https only"


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from repeating a request by itself where a kept connection turns out to be closed."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise _cut(request.url) from None


def _read(call: Call) -> URL:
    if _ODD.search(call.url):
        raise Barred("The address of the call has a space, a backslash or a control character in it.")
    if any(_BREAK.search(text) for header in call.headers for text in header):
        raise Barred("A header of the call has a line break or another control character in it.")
    try:
        url = URL(call.url)
        port, is_named = url.port, "@" in urlsplit(call.url).netloc
    except ValueError:
        raise Barred("The address of the call cannot be read.") from None
    if url.scheme not in ("http", "https") or not url.raw_host or not port:
        raise Barred("The address of the call is not an https:// address.")
    if is_named:
        raise Barred("The address of the call has a user name in it.")
    return url


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.raw_host, url.port


def _moved(url: URL, route: URL) -> URL:
    return URL.build(
        scheme=route.scheme, authority=route.raw_authority, path=url.raw_path, query_string=url.raw_query_string,
        encoded=True,
    )  # fmt: skip


def _unreached(error: aiohttp.ClientConnectorError, url: URL) -> Unreached:
    place, cause = _place(url), error.os_error
    if isinstance(cause, _Refused):
        return Barred(f"{url.raw_host} is not called: {cause}.")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unreached(f"The name {url.raw_host} cannot be looked up.")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        said = getattr(error.certificate_error, "verify_message", "") or "it is not valid"
        return Unreached(f"The certificate of {place} was not accepted: {said.rstrip('.')}.")
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return Unreached(f"No TLS with {place}.")
    said = os.strerror(cause.errno) if cause.errno and cause.errno > 0 else "the connection was not made"
    return Unreached(f"No connection to {place}: {said}.")


def _cut(url: URL) -> Unanswered:
    return Unanswered(f"{_place(url)} ended the connection before its answer was there.")


def _place(url: URL) -> str:
    return str(url.host_port_subcomponent)


def _printable(value: str) -> str:
    """aiohttp keeps bytes that are not UTF-8 as lone surrogates, which no database takes."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
