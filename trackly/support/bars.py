"""Owns small stacked bar charts, drawn as SVG where the page is made.

A chart library would need its data in attributes and a script to run; some dozens of rectangles need neither. What a bar
shows stands in its title, and beside every chart the numbers stand in words.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

STEP, HEIGHT = 10, 60
# A single refusal among thousands must be seen.
_LEAST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar, an hour's."""

    hour: datetime
    words: str
    """Its numbers, for a reader; '' when there are none."""
    parts: tuple[tuple[str, int], ...]
    """(tone, n) from the bottom up."""

    @property
    def title(self) -> str:
        return f"{self.hour:%b %d, %H:%M} UTC: {self.words or 'nothing'}"

    @property
    def n(self) -> int:
        return sum(n for _, n in self.parts)


def stacked(bars: Sequence[Bar], *, label: str) -> SafeString:
    """The bars side by side, the highest as high as the picture; `label` says in words what they show."""
    tones = list(dict.fromkeys(tone for bar in bars for tone, _ in bar.parts))
    most = max((bar.n for bar in bars), default=0) or 1
    drawn: dict[str, list[str]] = {tone: [] for tone in tones}
    for index, bar in enumerate(bars):
        for tone, box in _boxes(bar, index * STEP, most):
            drawn[tone].append(box)
    return format_html(
        '<svg class="ov-bars" role="img" aria-label="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}{}</svg>',
        label,
        len(bars) * STEP,
        HEIGHT,
        format_html_join("", _SLOT, ((bar.title, index * STEP) for index, bar in enumerate(bars))),
        # All of one colour is one shape: a page holds thousands of bars.
        format_html_join("", _SHAPE, ((tone, "".join(boxes)) for tone, boxes in drawn.items() if boxes)),
    )


# What is pointed at, as high as the picture: the bars themselves let the pointer through.
_SLOT = f'<g><title>{{}}</title><rect class="ov-slot" x="{{}}" width="{STEP}" height="{HEIGHT}"/></g>'
_SHAPE = '<path class="ov-{}" d="{}"/>'


def _boxes(bar: Bar, x: int, most: int) -> Iterable[tuple[str, str]]:
    """(tone, its rectangle as a path) from the bottom up."""
    shown = [(tone, n) for tone, n in bar.parts if n > 0]
    room = HEIGHT - _LEAST * len(shown)
    bottom = HEIGHT
    for tone, n in shown:
        height = _LEAST + round(n / most * room)
        yield tone, f"M{x + 1} {bottom}h{STEP - 2}v{-height}h{2 - STEP}z"
        bottom -= height
