"""Owns Finding: one thing that was looked at, how it stands, and what to do about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from django.db.models import TextChoices

from trackly.showing import Badge


class Level(TextChoices):
    GOOD = "good", "Good"
    NOTE = "note", "Worth knowing"
    WARNING = "warning", "Look at it"
    BAD = "bad", "Broken"


_TONES = {Level.GOOD: "good", Level.NOTE: "note", Level.WARNING: "wait", Level.BAD: "bad"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    level: Level
    about: str
    """What was looked at: 'Clock', 'Callback URL'."""
    said: str
    """How it stands, in a sentence; never a secret."""
    fix: str = ""
    """What to do; '' where nothing is to be done."""

    @property
    def badge(self) -> Badge:
        """How it stands, in a word."""
        return Badge(self.level.label, _TONES[self.level])


def worst_first(found: Iterable[Finding]) -> list[Finding]:
    """So that the rest of a long list need not be read."""
    return sorted(found, key=lambda finding: list(Level).index(finding.level), reverse=True)


def named(name: str, found: Iterable[Finding]) -> Iterator[Finding]:
    """The same, where they are of one among several."""
    return (replace(finding, about=f"{name}: {finding.about}") for finding in found)


def good(about: str, said: str) -> Finding:
    return Finding(level=Level.GOOD, about=about, said=said)


def note(about: str, said: str, fix: str = "") -> Finding:
    return Finding(level=Level.NOTE, about=about, said=said, fix=fix)


def warning(about: str, said: str, fix: str) -> Finding:
    return Finding(level=Level.WARNING, about=about, said=said, fix=fix)


def bad(about: str, said: str, fix: str) -> Finding:
    return Finding(level=Level.BAD, about=about, said=said, fix=fix)
