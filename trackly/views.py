"""Owns the answers to machines that ask how we are."""

import socket

from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from psycopg.errors import DiskFull, QueryCanceled, ReadOnlySqlTransaction
from psycopg_pool import PoolTimeout

from trackly import metrics
from trackly.patience import Patient

TEXT = "text/plain; charset=utf-8"
_SAID: dict[type, str] = {
    ReadOnlySqlTransaction: "the database is read-only",
    QueryCanceled: "the database did not commit within 2 seconds",
    DiskFull: "the disk of the database is full",
}


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return HttpResponse("ok\n", content_type=TEXT)


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """What arrives now can be committed: shown by committing a row of our own, within the last second."""
    try:
        PULSE.get()
    except (DatabaseError, PoolTimeout, TimeoutError) as error:
        said = _SAID.get(type(error.__cause__), "the database does not answer")
        return HttpResponse(f"{said}\n", status=503, content_type=TEXT)
    return HttpResponse("ready\n", content_type=TEXT)


@require_safe
def show_metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus: to this machine itself and to who has the token; there is nothing here for anybody else."""
    meta = request.META
    if not metrics.may_see(meta.get("REMOTE_ADDR", ""), meta.get("HTTP_AUTHORIZATION", ""), meta):
        return HttpResponse("not found\n", status=404, content_type=TEXT)
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)


def _commit() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '2s'")
        cursor.execute(
            "INSERT INTO trackly_pulse (host, at) VALUES (%s, now()) ON CONFLICT (host) DO UPDATE SET at = now()",
            [socket.gethostname()[:255]],
        )


PULSE = Patient(_commit, patience_s=3.0, keep_s=1.0)
