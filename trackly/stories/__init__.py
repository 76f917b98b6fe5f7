"""Owns Story: what a page tells about one thing, as values. The modules beside this one ask the tables and build them; the
staff's admin (templates/admin/_story.html) and the pages of an account (templates/pages/_story.html) show them.

A story answers, from the top: how does it stand, why, what should be done, what happened when, what belongs to it, and what
exactly was said.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from trackly.showing import Link, Phone, Raw, Shown, To, without_phones


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One entry of a timeline."""

    at: datetime | None
    """None: nobody said when."""
    what: Shown
    detail: Shown = ""
    source: Shown = ""
    """Where this is known from: a link to the request, the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What belongs to the thing, newest first; never more than a page of it."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Shown, ...]]
    empty: str
    """What it means that there is none."""
    more: To | Link | None = None
    """The whole list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One HTTP request and what we answered, as text; secrets and phones already masked."""

    request: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something a person may do about it: a button, with a question where a word from the person is needed."""

    verb: str
    label: str
    ask: str = ""
    """What to type in; '' when the button is enough."""
    choices: tuple[tuple[str, str], ...] = ()
    """(value, label) to choose from instead of typing."""
    explain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One page."""

    state: Shown
    headline: str
    """How it stands, in a sentence."""
    why: tuple[str, ...] = ()
    """Causes and what to do, a sentence each."""
    facts: tuple[tuple[str, Shown], ...] = ()
    moments: tuple[Moment, ...] = ()
    tables: tuple[Table, ...] = ()
    exchange: Exchange | None = None
    acts: tuple[Act, ...] = ()
    holds_secrets: bool = False
    """It shows masked numbers or tokens: offer to reveal them."""
    is_revealed: bool = False

    @property
    def known_facts(self) -> list[tuple[str, Shown]]:
        """Without those that nobody knows: an empty line explains nothing."""
        return [(label, value) for label, value in self.facts if value not in (None, "", Phone(""))]


def without_numbers(story: Story) -> Story:
    """The story with the numbers it names masked wherever its words repeat them, in whatever spelling."""
    cells = [value for _, value in story.facts] + [cell for table in story.tables for row in table.rows for cell in row]
    known = {cell.number for cell in cells if isinstance(cell, Phone)}
    if story.is_revealed or not known:
        return story
    return rewritten(story, lambda text: without_phones(text, known))


def rewritten(story: Story, write: Callable[[str], str]) -> Story:
    """The story with each of its texts as `write` has it; the exchange is left as it is."""

    def hide(value: Shown) -> Shown:
        match value:
            case str():
                return write(value)
            case Raw(text):
                return Raw(write(text))
            case Link(text, url):
                return Link(write(text), url)
            case To(text=text):
                return replace(value, text=write(text))
            case _:
                return value

    return replace(
        story,
        headline=write(story.headline),
        why=tuple(write(sentence) for sentence in story.why),
        facts=tuple((label, hide(value)) for label, value in story.facts),
        moments=tuple(
            replace(moment, what=hide(moment.what), detail=hide(moment.detail), source=hide(moment.source))
            for moment in story.moments
        ),
        tables=tuple(
            replace(table, rows=[tuple(hide(cell) for cell in row) for row in table.rows]) for table in story.tables
        ),
    )
