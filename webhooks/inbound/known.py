"""Owns Known: a message as a batch of reports sees it, and how it is raised to the greatest of what is said of it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from webhooks.statuses import NO_TIME, TIER, Heard, Origin, Rank, Report, Status, rank

# Prices are compared as the column holds them: what differs only beyond it would win or lose by its order.
_STORED = Decimal("0.000001")
# 'Queued' from sending means 'not taken, tried again', too: whether it was taken, sending says itself.
_BY_SENDING = (Origin.ANSWER, Origin.OURS)


@dataclass(slots=True)
class Known:
    """A message as the batch sees it; changed in memory, written once."""

    id: int
    account_id: int
    provider_account_id: int
    provider: str
    reference: str
    provider_message_id: str
    list_id: int | None
    to: str
    is_test: bool
    created_at: datetime
    sent_at: datetime | None
    handed_at: datetime | None
    public_id: str
    status: str
    status_detail: str
    status_at: datetime | None
    status_code: str
    status_mark: bytes
    error_status: str
    error_at: datetime | None
    error_vendor_code: str
    error_mark: bytes
    error_code: str
    error_text: str
    reason: str
    segments: int | None
    cost: Decimal | None
    cost_currency: str

    def is_spoken_of_by(self, report: Report) -> bool:
        """By the name of ours that its callback URL carries, and under no other id of the provider's."""
        return report.public_id == self.public_id and self.provider_message_id in ("", report.message_key)

    def place(self) -> Rank:
        return rank(Status(self.status), self.status_at, self.status_code, bytes(self.status_mark))

    def error_place(self) -> Rank:
        if not self.error_status:
            return Rank(-1, NO_TIME, 0, "", b"")
        return rank(Status(self.error_status), self.error_at, self.error_vendor_code, bytes(self.error_mark))

    def hear(self, item: Heard, mark: bytes) -> None:
        """Raise the state to this report where it is greater. Order and repetition make no difference."""
        report = item.report
        if self.is_spoken_of_by(report) and not self.provider_message_id and report.message_key != self.reference:
            self.provider_message_id = report.message_key
        is_unsent = not TIER[report.status] or report.status in (Status.DROPPED, Status.REJECTED)
        if self.sent_at is None and not is_unsent and item.origin not in _BY_SENDING:
            # Whoever speaks of it took it, whether or not our send was answered.
            self.sent_at = self.handed_at
        place = rank(report.status, report.at, report.vendor_code, mark)
        if place > self.place():
            self.status, self.status_detail = report.status.value, report.vendor_status
            self.status_at, self.status_code, self.status_mark = report.at, report.vendor_code, mark
        if report.has_error and place > self.error_place():
            self.error_status, self.error_at, self.error_mark = report.status.value, report.at, mark
            self.error_vendor_code, self.error_code = report.vendor_code, report.error_code
            self.error_text, self.reason = report.error_text, report.reason.value if report.reason else ""
        self.segments = max(self.segments or 0, report.segments or 0) or None
        if report.price is not None:
            # Reports of one message may carry different prices; the greatest is what it cost, whatever came last.
            price = report.price.quantize(_STORED, ROUND_HALF_UP)
            if self.cost is None or (price, report.currency) > (self.cost, self.cost_currency):
                self.cost, self.cost_currency = price, report.currency
