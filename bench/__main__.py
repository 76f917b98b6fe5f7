"""`make bench`: every measurement, each beside the ordinary way of doing the same work in the same run; some four minutes.

Everything happens in a database of its own: on an embedded server in a temporary directory, or on that of DATABASE_URL.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from trackly import embedded

DATABASE = "trackly_bench"


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="trackly-bench-"))
    os.environ.setdefault("DATABASE_URL", "")
    base = os.environ["DATABASE_URL"] or embedded.start(directory / "postgres")
    try:
        _begin(base, directory)
        print(_measure(sys.argv[1:] or ["acknowledge", "apply", "sending", "pages", "account"]))
    finally:
        _end(base)
        shutil.rmtree(directory, ignore_errors=True)


def _begin(base: str, directory: Path) -> None:
    with psycopg.connect(base, autocommit=True) as link:
        link.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        link.execute(f"CREATE DATABASE {DATABASE}")
    for name, value in embedded.local_secrets(directory).items():
        os.environ.setdefault(name, value)
    os.environ["DATABASE_URL"] = urlunsplit(urlsplit(base)._replace(path=f"/{DATABASE}"))
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _measure(names: list[str]) -> str:
    from django.core.management import call_command

    from bench import account, acknowledge, apply, pages, sending
    from bench.table import show

    measurements = {
        "acknowledge": lambda: [acknowledge.measure(seconds=12)],
        "apply": lambda: [apply.measure()],
        "sending": sending.measure,
        "pages": lambda: [pages.measure()],
        "account": lambda: [account.measure()],
    }
    pairs = []
    for name in names:
        # Each begins with empty tables: what the one before left would be in its way.
        call_command("flush", interactive=False, verbosity=0)
        pairs.extend(measurements[name]())
    return show(pairs)


def _end(base: str) -> None:
    from django.db import connections

    connections.close_all()
    with psycopg.connect(base, autocommit=True) as link:
        link.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


if __name__ == "__main__":
    main()
