"""Owns the words for how a request stands: let in, failed, or why it was refused."""

from webhooks.inbound.models import Cause, Standing

# By the word of a standing or a cause.
LABELS: dict[str, str] = dict([*Standing.choices, *Cause.choices[1:]])
REFUSED = frozenset([*Cause.values[1:], Standing.OVER_QUOTA.value])


def label(standing: str) -> str:
    """In words that continue a sentence."""
    words = LABELS.get(standing, standing)
    # Only the beginning: a URL stays one.
    return words[:1].lower() + words[1:]
