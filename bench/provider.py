"""Owns a provider on this machine for the measurements, a process of its own: it takes texts as Infobip does, 50 ms after they
came, and reports each as delivered at once, over connections that are kept open.

`python -m bench.provider PORT` serves until it is told to stop; with `silent` behind it, it reports nothing.
"""

import asyncio
import json
import sys
from urllib.parse import urlsplit

from bench.load import callback

REPORTERS = 16
# A vendor is far away and thinks before it answers.
LATENCY_S = 0.05


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, due: asyncio.Queue) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").lower().split("\r\n")
            length = next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), 0)
            (message,) = json.loads(await reader.readexactly(length))["messages"]
            (to,) = message["destinations"]
            accepted = {
                "messageId": to["messageId"],
                "status": {"groupId": 1, "groupName": "PENDING", "id": 26, "name": "PENDING_ACCEPTED"},
                "destination": to["to"],
            }
            await asyncio.sleep(LATENCY_S)
            answer = json.dumps({"bulkId": "b", "messages": [accepted]}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            writer.write(f"Content-Length: {len(answer)}\r\n\r\n".encode() + answer)
            due.put_nowait((message["webhooks"]["delivery"]["url"], to["messageId"]))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _report(due: asyncio.Queue) -> None:
    """Report one after the other over one connection, again where the far end was busy."""
    link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while True:
        url, reference = await due.get()
        parts = urlsplit(url)
        body = callback(reference, 0)
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        try:
            link = link or await asyncio.open_connection(parts.hostname, parts.port)
            link[1].write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await link[0].readuntil(b"\r\n\r\n")
            length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await link[0].readexactly(int(length.partition(b":")[2]))
            is_done = answer.startswith(b"HTTP/1.1 200")
        except (asyncio.IncompleteReadError, ConnectionError):
            link, is_done = None, False
        if not is_done:
            due.put_nowait((url, reference))


async def _run(port: int, reporters: int) -> None:
    due: asyncio.Queue = asyncio.Queue()
    server = await asyncio.start_server(lambda reader, writer: _serve(reader, writer, due), "127.0.0.1", port)
    async with server:
        await asyncio.gather(server.serve_forever(), *(_report(due) for _ in range(reporters)))


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1]), 0 if "silent" in sys.argv else REPORTERS))
