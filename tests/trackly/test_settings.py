"""Wrong settings are said in a line, and the checks say what is unsafe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
GOOD = {
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "DATABASE_URL": "postgres://nobody@localhost/none",
    "PUBLIC_BASE_URL": "https://hooks.example.com",
}


def check(**changes: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in (GOOD | changes).items() if value is not None}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    return subprocess.run(
        command, cwd=ROOT, env=environment | {"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60
    )


def test_production_settings_are_sound() -> None:
    done = check()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["SECRET_KEY", "ENCRYPTION_KEYS"])
def test_a_missing_setting_is_named_in_one_line(name: str) -> None:
    done = check(**{name: None})
    assert done.returncode != 0
    assert f"Set the {name} environment variable" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"PUBLIC_BASE_URL": None}, "trackly.E004"),
        ({"PUBLIC_BASE_URL": "hooks.example.com"}, "trackly.E005"),
        ({"PUBLIC_BASE_URL": "http://hooks.example.com"}, "trackly.W001"),
        ({"SANDBOX_ENABLED": "true"}, "trackly.W002"),
        ({"ENCRYPTION_KEYS": "no-key"}, "trackly.E002"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8,proxy"}, "trackly.E003"),
    ],
)
def test_what_is_unsafe_is_said(changes: dict[str, str | None], said: str) -> None:
    done = check(**changes)
    assert done.returncode != 0
    assert said in done.stderr
