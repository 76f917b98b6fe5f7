"""Local mode makes its secrets once and keeps them to their owner; a configured database is left alone."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from trackly import embedded


def test_local_secrets_are_made_once(tmp_path: Path) -> None:
    first = embedded.local_secrets(tmp_path)
    assert set(first) == {"SECRET_KEY", "ENCRYPTION_KEYS"}
    assert len(first["SECRET_KEY"]) >= 50
    Fernet(first["ENCRYPTION_KEYS"])
    assert embedded.local_secrets(tmp_path) == first


def test_two_working_copies_have_different_secrets(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(embedded.local_secrets(tmp_path / name))
    assert made[0]["SECRET_KEY"] != made[1]["SECRET_KEY"]
    assert made[0]["ENCRYPTION_KEYS"] != made[1]["ENCRYPTION_KEYS"]


def test_only_their_owner_can_read_local_secrets(tmp_path: Path) -> None:
    embedded.local_secrets(tmp_path)
    assert stat.S_IMODE((tmp_path / "secrets.env").stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree_on_the_secrets(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: embedded.local_secrets(tmp_path), range(16)))
    assert all(values == made[0] for values in made)


def test_a_configured_database_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://elsewhere/trackly")
    monkeypatch.setenv("TRACKLY_VAR", str(tmp_path / "var"))
    embedded.prepare()
    assert not (tmp_path / "var").exists()
