"""Owns whose turn it is: lists with something due, how many each may hand over now, and a fair share of what is free.

A list is locked by who sends from it, so its speed is kept by any number of workers. Its speed is a bucket that holds what it
may send in a second: next_slot_at is when the bucket would be empty of what was taken (GCRA's theoretical arrival time).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from trackly.columns import columns
from trackly.queued import QUEUED

BURST = timedelta(seconds=1)


@dataclass(slots=True, kw_only=True)
class Turn:
    """One list with messages that are due; locked."""

    list_id: int
    party_id: int
    interval: timedelta
    """Between two messages at its speed."""
    next_slot_at: datetime
    due: int = 0
    """How many it may hand over, and has."""
    take: int = 0

    def advance(self, n: int) -> None:
        """So many were handed over."""
        self.next_slot_at += n * self.interval


def take_turns(now: datetime, free: int, room: "Room") -> list[Turn]:
    """Lists that may send, locked until the caller's transaction ends, each with its share of `free`."""
    with connection.cursor() as cursor:
        cursor.execute(_TURNS, [now, now + BURST, room.full(), now + BURST, free])
        turns = [
            Turn(
                list_id=list_id,
                party_id=party_id,
                interval=timedelta(minutes=1) / max(speed, 1),
                # Time that passed unused is not saved up.
                next_slot_at=max(next_slot_at or now, now),
            )
            for list_id, party_id, speed, next_slot_at in cursor.fetchall()
        ]
        cursor.execute(_COUNT, [now, free, [turn.list_id for turn in turns]])
        counts: dict[int, int] = dict(cursor.fetchall())
    for turn in turns:
        turn.due = min(counts.get(turn.list_id, 0), credit(turn, now))
    share_out(turns, free, room)
    return [turn for turn in turns if turn.take]


def credit(turn: Turn, now: datetime) -> int:
    """How many its speed lets go now: what a second holds, and one where a second holds less."""
    left = now + max(BURST - turn.interval, timedelta(0)) - turn.next_slot_at
    return left // turn.interval + 1 if left >= timedelta(0) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What one provider account may hold of a worker's slots: a slow provider must not stop the others' messages."""

    slots: int
    held: Mapping[int, int]
    """Provider account -> how many of its messages are being handed over."""

    def left(self, party_id: int, *, others_wait: bool) -> int:
        # Alone it leaves an eighth for whoever comes next: its calls may each last their whole deadline.
        most = self.slots // 2 if others_wait else self.slots - self.slots // 8
        return max(max(most, 1) - self.held.get(party_id, 0), 0)

    def full(self) -> list[int]:
        """Provider accounts that get nothing now; their lists must not take the places of those that could send."""
        return [party_id for party_id in self.held if not self.left(party_id, others_wait=False)]


def share_out(turns: list[Turn], free: int, room: Room) -> None:
    """One slot each in turn, until nothing is free or nobody wants more."""
    waiting = {turn.party_id for turn in turns if turn.due}
    left = {party: room.left(party, others_wait=len(waiting) > 1) for party in waiting}
    hungry = [turn for turn in turns if turn.due]
    while hungry and free:
        for turn in hungry[:free]:
            if left[turn.party_id]:
                turn.take += 1
                left[turn.party_id] -= 1
                free -= 1
        hungry = [turn for turn in hungry if turn.take < turn.due and left[turn.party_id]]


def keep(turns: list[Turn]) -> None:
    """Write down when each list may send again."""
    if turns:
        with connection.cursor() as cursor:
            cursor.execute(_KEEP, columns((turn.list_id, turn.next_slot_at) for turn in turns))


# The list that sent longest ago comes first, and of each provider account one before a second of any.
_TURNS = f"""{QUEUED}, ready AS (
    SELECT list.id, row_number() OVER (PARTITION BY list.provider_account_id
                                       ORDER BY list.next_slot_at NULLS FIRST, list.id) AS place
    FROM queued JOIN sendinglists_sendinglist list ON list.id = queued.list_id
    WHERE EXISTS (SELECT FROM sendinglists_message message
                  WHERE message.sending_list_id = list.id AND message.due_at <= %s)
      AND (list.next_slot_at IS NULL OR list.next_slot_at <= %s) AND list.provider_account_id <> ALL(%s::bigint[])
)
SELECT list.id, list.provider_account_id, list.messages_per_minute, list.next_slot_at
FROM ready JOIN sendinglists_sendinglist list ON list.id = ready.id
WHERE list.next_slot_at IS NULL OR list.next_slot_at <= %s
ORDER BY ready.place, list.next_slot_at NULLS FIRST, list.id
LIMIT %s
FOR NO KEY UPDATE OF list SKIP LOCKED
"""
_COUNT = """
SELECT turn.list_id, (SELECT count(*) FROM (SELECT FROM sendinglists_message message
                                            WHERE message.sending_list_id = turn.list_id AND message.due_at <= %s
                                            LIMIT %s) AS due)
FROM unnest(%s::bigint[]) AS turn (list_id)
"""
_KEEP = """
UPDATE sendinglists_sendinglist list SET next_slot_at = new.next_slot_at
FROM unnest(%s::bigint[], %s::timestamptz[]) AS new (id, next_slot_at)
WHERE list.id = new.id
"""
