"""Owns the answers to machines that ask how we are."""

from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from psycopg_pool import PoolTimeout

TEXT = "text/plain; charset=utf-8"


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return HttpResponse("ok\n", content_type=TEXT)


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """What arrives now can be committed: the database answers and is not read-only."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery()")
            (is_read_only,) = cursor.fetchone()
    except (DatabaseError, PoolTimeout):
        return HttpResponse("the database does not answer\n", status=503, content_type=TEXT)
    if is_read_only:
        return HttpResponse("the database is read-only\n", status=503, content_type=TEXT)
    return HttpResponse("ready\n", content_type=TEXT)
