"""Owns the card of the admin's index that says whether what came is worked off."""

from datetime import timedelta

from trackly.showing import Badge, Shown, lasting
from trackly.support.cards import Card
from trackly.waiting import BEHIND_AFTER, Waiting


def inbox_card(waiting: Waiting) -> Card:
    late, alarm = waiting.late, waiting.worker_alarm
    if not alarm and late > BEHIND_AFTER:
        alarm = f"The worker is behind: what is oldest has been due for {lasting(late)}. More workers may be started on any host."
    words: list[Shown] = [] if late else [_rest(waiting)]
    if waiting.beat_at and not alarm:
        ago = max(waiting.now - waiting.beat_at, timedelta(0))
        words.append(Badge(f"a worker was heard of {lasting(ago)} ago", "good"))
    return Card(title="Oldest waiting", figure=lasting(late) if late else "None", words=tuple(words), alarm=alarm)


def _rest(waiting: Waiting) -> str:
    """What is true while nothing is due."""
    if waiting.first_due_at:
        return "Nothing is due; what failed before waits for its next try"
    return "Nothing has come that waits for it" if waiting.worker_alarm else "Everything that came is worked off"
