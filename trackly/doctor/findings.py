"""Owns Finding: one thing that was looked at, how it stands, and what to do about it."""

from dataclasses import dataclass

from django.db.models import TextChoices


class Level(TextChoices):
    GOOD = "good", "Good"
    NOTE = "note", "Worth knowing"
    WARNING = "warning", "Look at it"
    BAD = "bad", "Broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    level: Level
    about: str
    """What was looked at: 'Clock', or the name of a provider account."""
    said: str
    """How it stands, in a sentence; never a secret."""
    fix: str = ""
    """What to do; '' where nothing is to be done."""


def good(about: str, said: str) -> Finding:
    return Finding(level=Level.GOOD, about=about, said=said)


def note(about: str, said: str, fix: str = "") -> Finding:
    return Finding(level=Level.NOTE, about=about, said=said, fix=fix)


def warning(about: str, said: str, fix: str) -> Finding:
    return Finding(level=Level.WARNING, about=about, said=said, fix=fix)


def bad(about: str, said: str, fix: str) -> Finding:
    return Finding(level=Level.BAD, about=about, said=said, fix=fix)
