"""Owns the words in which a postback is judged, what each means, and what to do about it."""

from django.db.models import TextChoices


class ConversionStatus(TextChoices):
    APPROVED = "approved", "Approved"
    PENDING = "pending", "Pending"
    REJECTED = "rejected", "Rejected"
    REVERSED = "reversed", "Reversed"


class Verdict(TextChoices):
    WAITING = "waiting", "Not judged yet"
    RECORDED = "recorded", "Recorded"
    UPDATED = "updated", "Updated an earlier conversion"
    UPSELL = "upsell", "Recorded as a further sale"
    ADJUSTED = "adjusted", "Adjusted an earlier conversion"
    DUPLICATE = "duplicate", "Duplicate"
    DUPLICATE_DIFFERS = "duplicate_differs", "Duplicate with another amount"
    LITERAL_MACRO = "literal_macro", "Macro not replaced"
    MISSING_CLICK_ID = "missing_click_id", "No click id"
    MALFORMED_CLICK_ID = "malformed_click_id", "Not a click id"
    TOO_LONG = "too_long", "Click id too long"
    UNKNOWN_CLICK = "unknown_click", "Click not found"
    EXPIRED_CLICK = "expired_click", "Click too old"
    WRONG_ACCOUNT = "wrong_account", "Click of another account"
    AMBIGUOUS_PARAMETERS = "ambiguous_parameters", "Contradicting parameters"
    BAD_PAYOUT = "bad_payout", "Payout not readable"
    NEGATIVE_PAYOUT = "negative_payout", "Negative without an original"
    STATUS_UNMAPPED = "status_unmapped", "Status word not mapped"
    HELD = "held", "Held for the owner"
    BAD_SECRET = "bad_secret", "Wrong postback token"
    IP_NOT_ALLOWED = "ip_not_allowed", "Address not on the list"
    PLAIN_HTTP = "plain_http", "Sent over plain http"
    UNREADABLE = "unreadable", "Not readable"
    TEST = "test", "Test"


# What the person reading the row should do; verdicts without an entry need nothing done.
FIX = {
    Verdict.DUPLICATE_DIFFERS: (
        "If this was a second sale, count it as an upsell, or set the connection's duplicate rule to add for those to come."
    ),
    Verdict.LITERAL_MACRO: (
        "The network did not replace a macro: the URL was pasted in the wrong field, opened by hand, or names"
        " a macro the network does not have."
    ),
    Verdict.MISSING_CLICK_ID: (
        "The tracking link does not pass our click id to the network, or the postback URL does not pass it back."
    ),
    Verdict.MALFORMED_CLICK_ID: (
        "The postback sends another value than our click id; compare the macro in the tracking link with the "
        "one in the postback URL."
    ),
    Verdict.TOO_LONG: "Our click ids have 26 characters; the postback sends another value.",
    Verdict.UNKNOWN_CLICK: (
        "No link of ours made this click id. It is looked for again for as long as it is kept; match it by "
        "hand if you know the click."
    ),
    Verdict.EXPIRED_CLICK: (
        "The click is older than the attribution window and this connection excludes late conversions."
    ),
    Verdict.WRONG_ACCOUNT: "The click belongs to another account than the postback URL.",
    Verdict.AMBIGUOUS_PARAMETERS: (
        "The same parameter came twice with different values; remove one from the postback URL."
    ),
    Verdict.BAD_PAYOUT: "Send a plain amount such as 12.50.",
    Verdict.NEGATIVE_PAYOUT: (
        "A negative amount adjusts an earlier conversion and there is none with this click and transaction id."
    ),
    Verdict.STATUS_UNMAPPED: (
        "Say on the connection what this status word means; the postback is then judged again by itself."
    ),
    Verdict.HELD: (
        "It came without the postback token, so only a new positive conversion up to the offer's ceiling "
        "counts by itself; accept it or reject it."
    ),
    Verdict.BAD_SECRET: (
        "Give the network the connection's current postback URL. To let this hit count, accept it, or assign it to its "
        "connection."
    ),
    Verdict.IP_NOT_ALLOWED: "Add the address to the connection's list if it is the network's, then replay this hit.",
    Verdict.PLAIN_HTTP: (
        "Change http to https in the postback URL at the network, and accept this hit: it stays one that came over http."
    ),
    Verdict.UNREADABLE: "The request could not be read as a postback.",
}

# Verdicts that the request alone decides, before any table is asked.
BY_REQUEST = frozenset(
    {
        Verdict.LITERAL_MACRO,
        Verdict.MISSING_CLICK_ID,
        Verdict.MALFORMED_CLICK_ID,
        Verdict.TOO_LONG,
        Verdict.AMBIGUOUS_PARAMETERS,
        Verdict.BAD_PAYOUT,
        Verdict.UNREADABLE,
        Verdict.TEST,
    }
)
