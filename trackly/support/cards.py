"""Owns what one card of the admin's index is made of."""

from dataclasses import dataclass

from django.utils.safestring import SafeString

from trackly.showing import Shown
from trackly.support.bars import Bar, stacked


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One question, its answer, and what it is made of."""

    title: str
    figure: str
    words: tuple[Shown, ...] = ()
    bars: tuple[Bar, ...] = ()
    """One an hour; none where the answer is about now."""
    legend: tuple[tuple[str, str], ...] = ()
    """(tone, what it stands for), where the bars have several."""
    alarm: str = ""
    """What is wrong right now and what to do; '' when nothing is."""

    @property
    def chart(self) -> SafeString | None:
        return stacked(self.bars, label=f"{self.title}, hour by hour") if self.bars else None
