"""Owns the way into the inbox: a frozen row for one request, and store(), which commits it before anything is acknowledged."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from psycopg.errors import CheckViolation

from trackly import partitions, wake
from trackly.encryption import seal, unseal
from trackly.raw import RawRequest
from trackly.signing import new_uid
from trackly.text import clean
from webhooks.inbound.models import InboundRequest, State, time_of
from webhooks.inbound.standings import LOST, LOST_COLUMNS, counted

MAX_IDS = 4_000
# Refused and naming nothing we know: a few a minute are kept as samples.
NOTHING_KNOWN = 0
# Not refused, but nobody's yet (a postback on the bare URL whose click is not known): kept up to the day's quota.
NO_ACCOUNT = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """What store() writes; the fields are the table's columns."""

    uid: UUID
    received_at: datetime
    source: str
    slug: str
    account_id: int | None
    party_id: int | None
    proof: str
    method: str
    host: bytes
    path: bytes
    query: bytes
    headers: bytes
    body: bytes
    sealed: bytes | None
    peer: str
    is_secure: bool
    refusal: str
    answer_status: int
    answer: bytes
    ids: list[str]
    items: int
    state: str
    due_at: datetime
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How many of a kind of request are kept whole; the rest are only counted."""

    party_id: int
    """Whose quota; NOTHING_KNOWN or NO_ACCOUNT when it is nobody's, below those: see of_account()."""

    @classmethod
    def of_account(cls, account_id: int, *, by_click: bool) -> "Quota":
        """An account's own, apart from all ids of parties. Its id is public: what only names that uses up another quota
        than what names a click of it."""
        return cls(party_id=-2 * account_id - (0 if by_click else 1))

    @property
    def is_daily(self) -> bool:
        return self.party_id != NOTHING_KNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What one request gets: the HTTP answer, and the row to commit before it is given."""

    status: int
    content_type: str
    answer: bytes
    row: InboxRow | None = None
    """None: nothing is kept (no such provider, wrong method)."""
    quota: Quota | None = None
    """None: always kept."""
    over_quota: tuple[int, bytes] | None = None
    """Status and text instead, when the quota is used up; None: the same answer."""
    references: tuple[str, ...] = ()
    """What could still prove it: references of ours that it names."""


def make_row(
    request: RawRequest,
    *,
    source: str,
    slug: str,
    token: str,
    opened: str,
    secret_headers: frozenset[str],
    keep_secrets: bool,
    ids: list[str],
    **judged: object,
) -> InboxRow:
    """The row of a request, its secrets taken out. `opened` stands in the path where `token` stood.

    With keep_secrets what was taken out is sealed beside it, so that a refused request can be verified again.
    """
    uid = request.uid or new_uid(int(request.received_at.timestamp() * 1000))
    path = _without(request.path, token, opened) if token else request.path
    taken = {name: value for name, value in request.headers if name in secret_headers}
    lines = (f"{name}: {'(kept apart)' if name in secret_headers else value}\r\n" for name, value in request.headers)
    return InboxRow(
        uid=uid,
        received_at=time_of(uid),
        due_at=time_of(uid),
        source=source,
        slug=slug,
        method=request.method,
        host=_raw(request.header("host") or ""),
        path=_raw(path),
        query=_raw(request.query),
        headers=_raw("".join(lines)),
        body=request.body,
        sealed=seal({"path": request.path, "headers": taken}) if keep_secrets and (token or taken) else None,
        peer=request.peer,
        is_secure=request.secure,
        ids=[clean(value, 200) for value in dict.fromkeys(ids[:MAX_IDS]) if value],
        **judged,  # type: ignore[arg-type]
    )


def _without(path: str, token: str, opened: str) -> str:
    """The path with the segment that is the token replaced: the last one of them, the slug may read the same."""
    parts = path.split("/")
    parts[len(parts) - 1 - parts[::-1].index(token)] = opened
    return "/".join(parts)


def restore(row: InboundRequest, *, base_url: str) -> RawRequest:
    """The request a row was made of: to the byte when its secrets were sealed, else with them replaced as stored."""
    held = unseal(row.sealed) if row.sealed else {"path": None, "headers": {}}
    lines = (line.partition(": ") for line in bytes(row.headers).decode("latin-1").split("\r\n")[:-1])
    return RawRequest(
        method=row.method,
        path=held["path"] or bytes(row.path).decode("latin-1"),
        query=bytes(row.query).decode("latin-1"),
        headers=tuple((name, held["headers"].get(name, value)) for name, _, value in lines),
        body=bytes(row.body),
        base_url=base_url,
        peer=row.peer,
        secure=row.is_secure,
        received_at=row.received_at,
        uid=row.uid,
    )


def renew(row: InboundRequest, receipt: Receipt) -> InboxRow:
    """Let a stored row say what judging its request anew says; does not save. The row that was judged."""
    judged = receipt.row
    assert judged is not None
    row.account_id, row.party_id, row.proof = judged.account_id, judged.party_id, judged.proof
    row.refusal, row.outcome = judged.refusal, judged.outcome
    return judged


def store(receipt: Receipt) -> Receipt:
    """Commit the receipt's row; the answer to give. Raises django.db.OperationalError when nothing could be stored."""
    row = receipt.row
    if row is None:
        return receipt
    try:
        is_kept = _keep(row, receipt.quota)
    except IntegrityError as error:
        # A partition nobody made in time: a clock far off, or neither `up` nor `work` ran for two weeks.
        if not isinstance(error.__cause__, CheckViolation):
            raise
        partitions.ensure(row.received_at - timedelta(days=1))
        is_kept = _keep(row, receipt.quota)
    if not is_kept:
        return _over_quota(receipt)
    if row.state == State.WAITING:
        wake.nudge()
    return receipt


def _over_quota(receipt: Receipt) -> Receipt:
    status, answer = receipt.over_quota or (receipt.status, receipt.answer)
    return Receipt(status=status, content_type=receipt.content_type, answer=answer)


def _keep(row: InboxRow, quota: Quota | None) -> bool:
    """Commit the row; False when its quota is used up and it was only counted."""
    if quota is not None:
        return _admit(row, quota)
    _insert(row)
    return True


def _insert(row: InboxRow) -> None:
    with connection.cursor() as cursor:
        # Accepted ones count when they are worked off: nobody waits for a total before he is answered.
        statement = INSERT if row.state == State.WAITING else _INSERT_COUNTED
        cursor.execute(statement, [getattr(row, name) for name in COLUMNS])


def _admit(row: InboxRow, quota: Quota) -> bool:
    """Count it, and insert it while the quota of its day or minute lasts; False when it was only counted."""
    if quota.is_daily:
        bucket = row.received_at.replace(hour=0, minute=0, second=0, microsecond=0)
        cap = settings.REFUSED_KEPT_PER_DAY
    else:
        bucket, cap = row.received_at.replace(second=0, microsecond=0), settings.REFUSED_SAMPLED_PER_MINUTE
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, [bucket, row.source, row.slug, quota.party_id])
            (n,) = cursor.fetchone()
            if n > cap:
                cursor.execute(LOST, [getattr(row, name) for name in LOST_COLUMNS])
        if n <= cap:
            _insert(row)
    return bool(n <= cap)


def _raw(text: str) -> bytes:
    return text.encode("latin-1", "replace")


COLUMNS = tuple(field.name for field in fields(InboxRow))
# ON CONFLICT: a commit whose answer was lost is not doubled when it is tried again.
INSERT = f"""
INSERT INTO webhooks_inboundrequest ({", ".join(COLUMNS)}, attempts, last_error, version)
VALUES ({", ".join(["%s"] * len(COLUMNS))}, 0, '', '')
ON CONFLICT DO NOTHING
"""
_INSERT_COUNTED = counted(INSERT, "webhooks_inboundrequest")
_COUNT = """
INSERT INTO webhooks_refusaltally AS tally (bucket, source, slug, party_id, n) VALUES (%s, %s, %s, %s, 1)
ON CONFLICT (bucket, source, slug, party_id) DO UPDATE SET n = tally.n + 1
RETURNING n
"""
