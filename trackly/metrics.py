"""Owns what /metrics says.

Counted by each process as it goes, and added up over all processes that share PROMETHEUS_MULTIPROC_DIR:

- trackly_requests_total: inbound requests by source, provider and outcome: accepted, the cause of a refusal, over_quota,
  probe, wrong_method, not_found, too_large, cut_off, busy (answered 503: not stored, the sender is asked to send it again).
- trackly_acknowledgement_seconds: from when all of an inbound request is here to its answer.
- trackly_items_total: what came at first of the things requests said, counted when it was committed: new, duplicate, parked,
  wrong_account, unreadable, reply, reply_duplicate, ignored, refused; of postbacks their verdict.
- trackly_processing_failures_total: requests whose processing failed: retried, or failed after the last try.
- trackly_batch_seconds: one batch of the worker, from claim to commit.
- trackly_chore_failures_total: failures of what workers do between batches, by chore, and of the lines of calls.
- trackly_sends_total: tries to hand a message to its provider, by how they ended: accepted, refused, later (taken back into the
  queue), unclear (perhaps accepted; never sent again); and dropped, which no provider saw. Cause: our word or the reason given.
- trackly_send_wait_seconds: from when a message was due to when it was handed over; the speed of its list is part of it.
- trackly_send_answer_seconds: from when a message was handed over until its provider's answer was here, or none came.
- trackly_questions_total: questions what became of a message: told, nothing (not known there), not_answered, not_understood.
- trackly_setup_steps_total: steps of a provider account's set-up by how they ended: done, warning, by_hand, failed, or again
  (failed for now, it is tried again).
- trackly_echoes_total: callbacks of providers that live on this machine: taken, again (tried again), given_up.
- trackly_api_requests_total: answers of the API by address, and class of the status: 2xx, 4xx, 5xx.

Asked of the tables when somebody looks, so that they are right whichever process answers; counts stop at 10,001:

- trackly_database_up: 0 when the tables could not be asked within seconds; the lines below are then left out.
- trackly_oldest_due_seconds: how long the oldest due request has been waiting for a worker; 0: nothing is due.
- trackly_requests_retrying: requests that failed and wait for their next try.
- trackly_requests_failed: requests received in the last 24 hours that used up their tries and were not dealt with since.
- trackly_reports_parked: delivery reports whose message is not known.
- trackly_conversions_unmatched: postbacks whose click is not known.
- trackly_clicks_untallied: clicks not yet in the hourly totals.
- trackly_messages_due: messages that may be handed over now.
- trackly_messages_oldest_due_seconds: how long the oldest of them has been due; 0: none is.
- trackly_messages_leases_over: messages in hand whose worker is gone; workers set them down as unclear within 10 seconds.
- trackly_messages_unclear: handed over in the last 24 hours, never answered and not spoken of since; of those their provider can
  be asked about, and of the 50,000 with the latest next question.
- trackly_setups_failed: provider accounts whose set-up failed, those removed left out.
- trackly_echoes_due: callbacks of providers that live on this machine, to be made now.
- trackly_worker_heartbeat_seconds: since a worker last said that it lives; +Inf: none ever did.
- trackly_partitions_ahead_days: for how many days from now the raw tables have partitions without a gap.
"""

import os
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import prometheus_client
from django.conf import settings
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from trackly import gauges
from trackly.clients import parse_networks, within
from trackly.signing import same

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_PLAIN_0_0_4
# Of what never comes as far as the URL table.
_PREFIXES = {"api/webhook-feedbacks/": "webhook", "api/postbacks/": "postback"}
_LOOPBACK = parse_networks(("127.0.0.0/8", "::1"))
_OURSELVES = frozenset({"localhost", "127.0.0.1", "[::1]"})
# Who sends one of these is a proxy, and speaks for somebody else.
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP", "HTTP_VIA")

prometheus_client.disable_created_metrics()
OWN = CollectorRegistry()

REQUESTS = Counter(
    "trackly_requests_total", "Inbound requests by outcome.", ["source", "provider", "outcome"], registry=OWN
)
ACKNOWLEDGEMENT = Histogram(
    "trackly_acknowledgement_seconds", "From an inbound request to its answer.", ["source"], registry=OWN,
    buckets=[0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
)  # fmt: skip
ITEMS = Counter("trackly_items_total", "What came of the things requests said.", ["source", "result"], registry=OWN)
FAILURES = Counter(
    "trackly_processing_failures_total", "Requests whose processing failed.", ["source", "result"], registry=OWN
)
BATCH = Histogram(
    "trackly_batch_seconds", "One batch of the worker.", ["source"], registry=OWN,
    buckets=[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
)  # fmt: skip
CHORE_FAILURES = Counter(
    "trackly_chore_failures_total", "Failures of what workers do between batches.", ["chore"], registry=OWN
)
SENDS = Counter("trackly_sends_total", "Tries to send by their end.", ["provider", "verdict", "cause"], registry=OWN)
SEND_WAIT = Histogram(
    "trackly_send_wait_seconds", "From when a message was due to when it was handed over.", ["provider"], registry=OWN,
    buckets=[0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 1800],
)  # fmt: skip
SEND_ANSWER = Histogram(
    "trackly_send_answer_seconds", "From a message handed over to its answer.", ["provider"], registry=OWN,
    buckets=[0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 45],
)  # fmt: skip
QUESTIONS = Counter(
    "trackly_questions_total", "Questions what became of a message.", ["provider", "result"], registry=OWN
)
SETUP_STEPS = Counter("trackly_setup_steps_total", "Steps of set-up by their end.", ["provider", "state"], registry=OWN)
ECHOES = Counter("trackly_echoes_total", "Callbacks of providers on this machine.", ["result"], registry=OWN)
API_REQUESTS = Counter("trackly_api_requests_total", "Answers of the API.", ["route", "status"], registry=OWN)


def expect(source: str, slugs: Iterable[str]) -> None:
    """Let these stand at 0 from the start: a rate over a line that was not there shows nothing of its first events."""
    for slug in slugs:
        for outcome in ("accepted", "busy"):
            REQUESTS.labels(source, slug, outcome)
    ACKNOWLEDGEMENT.labels(source)
    BATCH.labels(source)
    for result in ("retried", "failed"):
        FAILURES.labels(source, result)


def count_unreached(path: str, status: int) -> None:
    """Count an inbound request answered in front of Django: its body was over the cap, or cut off."""
    for prefix, source in _PREFIXES.items():
        if path.lstrip("/").lower().startswith(prefix):
            REQUESTS.labels(source, "", "too_large" if status == 413 else "cut_off").inc()


def count_api(route: str, status: int) -> None:
    """Count an answer of the API. `route` is the pattern of its address, which no caller can choose."""
    name = route.removeprefix("api/v2/").strip("/") or "other"
    # There from its first answer on, so that the first failure is an increase.
    API_REQUESTS.labels(name, "5xx")
    API_REQUESTS.labels(name, f"{status // 100}xx").inc()


def exposition() -> bytes:
    """Everything, in Prometheus' text format."""
    return counted() + generate_latest(gauges.REGISTRY)


def counted() -> bytes:
    """What the processes counted: all that share a directory, or this one alone."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return generate_latest(OWN)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)


def may_see(peer: str, authorization: str, environ: Mapping[str, object]) -> bool:
    """True for the holder of METRICS_TOKEN, and for this machine itself, where it speaks for nobody else."""
    scheme, _, token = authorization.partition(" ")
    if settings.METRICS_TOKEN and scheme.lower() == "bearer" and same(token.strip(), settings.METRICS_TOKEN):
        return True
    # Behind a proxy of this machine every visitor looks like this machine, and what it says of them may be a lie.
    is_forwarded = any(environ.get(name) for name in _FORWARDED)
    host = str(environ.get("HTTP_HOST", "")).rpartition(":")[0] or str(environ.get("HTTP_HOST", ""))
    return not is_forwarded and host in _OURSELVES and within(peer, _LOOPBACK)


def serve(address: str) -> ThreadingHTTPServer:
    """/metrics of a worker, on HOST:PORT, in a thread; without the gauges, which the web serves."""
    host, _, port = address.rpartition(":")
    server = ThreadingHTTPServer((host.strip("[]") or "127.0.0.1", int(port)), _Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True, name="metrics").start()
    return server


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        seen = may_see(self.client_address[0], self.headers.get("Authorization", ""), environ)
        body = counted() if seen and self.path == "/metrics" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not news."""
