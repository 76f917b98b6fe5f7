"""Owns the load generator, a process of its own: keep-alive connections that post one callback after the other.

`python -m bench.load PORT PATH SECONDS CONNECTIONS` prints one line of JSON: how many a second, and latencies in milliseconds.
"""

import asyncio
import json
import sys
import time

WARM_UP_S = 1.0


def callback(reference: str, second: int) -> bytes:
    """One delivery report as Infobip sends it."""
    result = {
        "bulkId": "BULK-ID-123-xyz",
        "messageId": reference,
        "to": "41793026727",
        "sender": "InfoSMS",
        "sentAt": "2026-11-23T09:28:00.000+0000",
        "doneAt": f"2026-11-23T09:{second // 60 % 60:02d}:{second % 60:02d}.000+0000",
        "messageCount": 1,
        "price": {"pricePerMessage": 0.01, "currency": "EUR"},
        "status": {
            "groupId": 3,
            "groupName": "DELIVERED",
            "id": 5,
            "name": "DELIVERED_TO_HANDSET",
            "description": "ok",
        },
        "error": {
            "groupId": 0,
            "groupName": "OK",
            "id": 0,
            "name": "NO_ERROR",
            "description": "ok",
            "permanent": False,
        },
    }
    return json.dumps({"results": [result]}).encode()


async def _client(port: int, head: str, number: int, times: tuple[float, float], took: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begin, end = times
    n = 0
    while (sent := time.perf_counter()) < end:
        body = callback(f"client{number:03d}n{n:018d}", n)
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"not acknowledged: {answer.decode()}")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        if sent >= begin:
            took.append(time.perf_counter() - sent)
        n += 1
    writer.close()


async def _run(port: int, path: str, seconds: float, connections: int) -> dict[str, float]:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    begin = time.perf_counter() + WARM_UP_S
    took: list[float] = []
    times = (begin, begin + seconds)
    await asyncio.gather(*(_client(port, head, number, times, took) for number in range(connections)))
    took.sort()
    return {
        "per_second": len(took) / seconds,
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[int(len(took) * 0.99)] * 1000,
    }


if __name__ == "__main__":
    port, path, seconds, connections = sys.argv[1:]
    print(json.dumps(asyncio.run(_run(int(port), path, float(seconds), int(connections)))))
