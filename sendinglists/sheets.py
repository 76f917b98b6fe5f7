"""Owns the reading of CSV files: bytes in, rows of text out, and what is wrong with a file or a row in words.

Spreadsheets of half the world separate by semicolons, begin a file with a byte order mark, and put an apostrophe before
a number so that it stays one; all of that is read.
"""

import csv
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from io import StringIO
from itertools import islice
from typing import ClassVar, TypeVar

MOST_BYTES = 5_000_000
# As many as are taken at once. Of a longer file one more is read, which tells that it is: five megabytes of short lines would
# be two million rows.
MOST_ROWS = 1_000
_MOST_QUOTED = 40
_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
# What others call our columns.
_ALIASES = {"cause": "reason", "phone_number": "phone", "external_id": "id", "provider_message_id": "provider_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row whose fields are the columns of its file, all of them text, and `line`."""

    needed: ClassVar[tuple[str, ...]] = ()

    line: int = field(default=0, compare=False)
    """Where it ends in its file; 0: it is of none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """A row of a readable file that made no sense; it stands in its place."""

    code: str
    words: str


class BadFile(Exception):
    """The file as a whole cannot be read; the message says why and what to do."""


R = TypeVar("R", bound=Row)


def quoted(value: str) -> str:
    """A value as it was given, to be found again by whoever gave it: its first 40 characters, without those that steer."""
    cut = value[:_MOST_QUOTED] + ("…" if len(value) > _MOST_QUOTED else "")
    return f"'{''.join(char for char in ' '.join(cut.split()) if unicodedata.category(char)[0] != 'C')}'"


def read_csv(data: bytes, of: type[R]) -> list[R | RowError]:
    """The rows of a file below its first line, which names their columns, MOST_ROWS and one more at most. Empty lines are
    none. Raises BadFile."""
    text = _decoded(data)
    lines = csv.reader(StringIO(text, newline=""), delimiter=_separator(text))
    try:
        names = _columns(next(lines, []), of)
        rows = (_row(line, lines.line_num, names, of) for line in lines if any(cell.strip() for cell in line))
        return list(islice(rows, MOST_ROWS + 1))
    except csv.Error as error:
        raise BadFile(f"Line {lines.line_num} cannot be read: {error}.") from error


def _decoded(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise BadFile(f"The file has more than {MOST_BYTES // 1_000_000} MB: divide it.")
    if data[:2] in _MARKS:
        raise BadFile(f"The file is {_MARKS[data[:2]]}: save it as 'CSV UTF-8'.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile("The file is not UTF-8: save it as 'CSV UTF-8'.") from error
    if "\x00" in text:
        raise BadFile("The file is no text: it has NUL in it. A spreadsheet must be saved as 'CSV UTF-8' first.")
    return text


def _separator(text: str) -> str:
    """Whichever of ; , and tab the first line has most of."""
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _columns(header: Iterable[str], of: type[Row]) -> list[str]:
    known = [item.name for item in fields(of) if item.name != "line"]
    given = list(header)
    while given and not given[-1].strip():
        given.pop()
    names = [_ALIASES.get(name, name) if name not in known else name for name in map(_name, given)]
    listed = ", ".join(known)
    if not names:
        raise BadFile(f"The file is empty. Its first line must name the columns: {listed}.")
    for name, cell in zip(names, given, strict=True):
        if name not in known:
            raise BadFile(f"There is no column {quoted(cell.strip())}. The columns are: {listed}.")
    if len(set(names)) < len(names):
        raise BadFile("The first line names a column twice.")
    missing = [name for name in of.needed if name not in names]
    if missing:
        raise BadFile(f"A column is missing: {', '.join(missing)}. The first line must name the columns.")
    return names


def _name(cell: str) -> str:
    return cell.strip().casefold().replace(" ", "_").replace("-", "_")


def _row(cells: list[str], line: int, names: list[str], of: type[R]) -> R | RowError:
    given = [cell.strip() for cell in cells]
    while given and not given[-1]:
        given.pop()
    if len(given) > len(names):
        words = f"Line {line} has {len(given)} values for {len(names)} columns; a value with the separator in it needs quotes."
        return RowError(code="too_many_values", words=words)
    # A spreadsheet writes '+14155550101 so that it is no sum.
    texts = {name: value.removeprefix("'").strip() for name, value in zip(names, given, strict=False)}
    return of(line=line, **texts)
