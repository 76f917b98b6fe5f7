"""Owns what the sandbox does with a text, in words, by the end of its recipient's number. A test holds it to the adapter."""

ENDINGS = (
    ("0001", "refused at once: the number is not valid"),
    ("0002", "not taken now, at every try: too many messages"),
    ("0003", "sent, then undelivered: the phone is off"),
    ("0004", "rejected: the recipient opted out"),
    ("0005", "sent, then expired"),
    ("0006", "delivered, with reports in the wrong order and twice"),
    ("0007", "taken and never reported; the provider is asked later, and says delivered"),
    ("0008", "taken, and the answer to us is lost; the provider is asked later, and says delivered"),
)


def endings(provider: str) -> tuple[tuple[str, str], ...]:
    """(last four digits, what becomes of it); empty for a provider out in the world."""
    return ENDINGS if provider == "sandbox" else ()
