"""Owns the page on which numbers are closed: some that are typed, or a file of them, with its progress in words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from django import forms
from django.db import transaction
from django.http import HttpResponse, StreamingHttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html

from sendinglists import subscriptions
from sendinglists.closings import Closing, import_suppressions
from sendinglists.imports import Outcome
from sendinglists.sheets import MOST_BYTES, MOST_ROWS, BadFile, RowError, read_csv
from trackly.pages.forms import Form
from trackly.pages.messages.contact import brand_of
from trackly.pages.visits import MEMBER, Visit, act, page
from trackly.phones import HOW_TO_WRITE, entered
from trackly.showing import counted, plain
from trackly.text import clean

# More are divided among several files: a page that takes minutes is given up by whoever waits for it.
MOST_LINES = 100_000
# So many wrong lines are shown.
MOST_SHOWN = 200
_PLACE = "<!--here-->"


class CloseForm(Form):
    phones = forms.CharField(
        label="Numbers",
        max_length=64 * MOST_ROWS,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="One a line, with + and the country code.",
    )
    brand = forms.CharField(
        max_length=100, required=False, help_text="One that a list of yours has. Empty: the whole account."
    )
    cause = forms.CharField(label="Why", max_length=200, help_text="Such as: asked by mail.")

    def clean_phones(self) -> list[str]:
        texts = [text.strip() for text in re.split(r"[\n,;]", self.cleaned_data["phones"]) if text.strip()]
        wrong = [text for text in texts if not entered(text)]
        if wrong:
            named = ", ".join(f"'{text[:40]}'" for text in wrong[:5]) + (" and more" if len(wrong) > 5 else "")
            raise forms.ValidationError(f"No whole phone number: {named}. {HOW_TO_WRITE}")
        if len(texts) > MOST_ROWS:
            raise forms.ValidationError(f"At most {MOST_ROWS:,} are taken at once: bring the others as a file.")
        return [entered(text) for text in texts]


class FileForm(Form):
    file = forms.FileField(
        label="CSV file",
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv"}),
        help_text=(
            "Its first line names the columns: phone, and where wanted list (its id or number) or brand, and reason."
            f" At most {MOST_BYTES // 1_000_000} MB and {MOST_LINES:,} lines."
        ),
    )


@dataclass(slots=True)
class Counts:
    """What came of a file so far."""

    closed: int = 0
    wrong: list[str] = field(default_factory=list)
    n_wrong: int = 0
    stopped: str = ""
    """Why it was not read to its end."""


@page(sees=MEMBER, changes=MEMBER)
def close(visit: Visit) -> HttpResponse:
    if visit.request.method != "POST":
        return _page(visit, form=CloseForm(initial={"phones": visit.request.GET.get("phone", "")[:64]}))
    form = CloseForm(visit.request.POST)
    brand = brand_of(visit, form)
    if not form.is_valid():
        return _page(visit, form=form)
    phones, cause = form.cleaned_data["phones"], clean(form.cleaned_data["cause"], 200)
    where = f"every list of {brand}" if brand else "the whole account"
    with transaction.atomic():
        n = subscriptions.suppress(visit.account.pk, phones, brand=brand, cause=cause, at=timezone.now())
        visit.audit(visit.account, "closed numbers", f"{n} for {where}: {cause}")
    already = len(set(phones)) - n
    visit.say(
        f"{counted(n, 'number')} closed for {where}."
        + (f" {counted(already, 'was', 'were')} closed already." if already else "")
    )
    return visit.redirect("contacts")


@act(changes=MEMBER)
def close_file(visit: Visit) -> HttpResponse:
    """What came of each line; a large file's page grows while it is worked off, a thousand lines at a time."""
    form = FileForm(visit.request.POST, visit.request.FILES)
    if not form.is_valid():
        return _page(visit, file_form=form)
    upload = form.cleaned_data["file"]
    try:
        data = upload.read(MOST_BYTES + 1)
        # The whole file is judged first: nothing of one that cannot be read is closed.
        read_csv(data, Closing)
        pieces = _pieces(data.decode("utf-8-sig"))
    except BadFile as error:
        form.add_error("file", str(error))
        return _page(visit, file_form=form)
    if len(pieces) == 1:
        counts = Counts()
        _take(visit, pieces[0], counts)
        return visit.render("pages/messages/closed.html", _told(visit, counts))
    return cast(HttpResponse, _growing(visit, pieces))


def _pieces(text: str) -> list[bytes]:
    """The file in parts of at most a thousand lines, each with the first line, and blank ones for those before it, so that a
    line keeps its number. Raises BadFile."""
    head, lines = _head(text.splitlines(keepends=True))
    if len(lines) > MOST_LINES:
        raise BadFile(f"The file has more than {MOST_LINES:,} lines: divide it.")
    pieces, start, quotes = [], 0, 0
    for place, line in enumerate(lines):
        quotes += line.count('"')
        is_full = place + 1 - start >= MOST_ROWS
        # Between two quotes a line break belongs to a value.
        if place + 1 == len(lines) or (is_full and quotes % 2 == 0):
            pieces.append((head + "\n" * start + "".join(lines[start : place + 1])).encode())
            start = place + 1
    return pieces or [head.encode()]


def _head(lines: list[str]) -> tuple[str, list[str]]:
    return (lines[0] if lines else ""), lines[1:]


def _take(visit: Visit, piece: bytes, counts: Counts) -> None:
    """Close the numbers of one part, with an audit entry, in one transaction."""
    try:
        rows: list[Closing | RowError] = read_csv(piece, Closing)
    except BadFile as error:
        counts.stopped = str(error)
        return
    with transaction.atomic():
        answers = import_suppressions(visit.account, rows, now=timezone.now())
        closed = sum(answer.outcome != Outcome.REFUSED for answer in answers)
        if closed:
            visit.audit(visit.account, "closed numbers", f"{closed} from a file")
    wrong = [answer.words for answer in answers if answer.outcome == Outcome.REFUSED]
    counts.closed += closed
    counts.n_wrong += len(wrong)
    counts.wrong += wrong[: MOST_SHOWN - len(counts.wrong)]


def _growing(visit: Visit, pieces: list[bytes]) -> StreamingHttpResponse:
    """The page up to the place where the file is worked off, a sentence for each part of it, and the page's end."""
    frame = visit.render("pages/messages/closing.html", {"title": "Closing numbers", "n": len(pieces)}).content.decode()
    before, after = frame.split(_PLACE)

    def told() -> Iterator[str]:
        yield before
        counts = Counts()
        for place, piece in enumerate(pieces, 1):
            _take(visit, piece, counts)
            said = (
                f"Part {place} of {len(pieces)}: {counted(counts.closed, 'number')} closed, {counts.n_wrong:,} wrong."
            )
            yield format_html("<li>{}</li>\n", said)
            if counts.stopped:
                break
        yield "</ol>"
        yield render_to_string("pages/messages/_closed.html", {"visit": visit, **_told(visit, counts)}, visit.request)
        yield after

    answer = StreamingHttpResponse(told())
    # A proxy in front shall not keep it until it is whole.
    answer["X-Accel-Buffering"] = "no"
    return answer


def _told(visit: Visit, counts: Counts) -> dict[str, object]:
    more = counts.n_wrong - len(counts.wrong)
    return {
        "title": "Numbers closed",
        "counts": counts,
        "closed": counted(counts.closed, "number"),
        "wrong": [plain(words, 300) for words in counts.wrong],
        "more": f"{more:,} more lines were wrong in the same or other ways." if more else "",
    }


def _page(visit: Visit, form: CloseForm | None = None, file_form: FileForm | None = None) -> HttpResponse:
    context = {"title": "Close numbers", "form": form or CloseForm(), "file_form": file_form or FileForm()}
    return visit.render("pages/messages/close.html", context)
