"""Owns the words by which people leave and come back, in the text of a reply."""

import re

from webhooks.statuses import Decision

# The product's list and Twilio's, exact after folding; misspellings and phrases are the owner's to add later.
STOP = frozenset(
    ["stop", "stopall", "end", "quit", "cancel", "unsubscribe", "unsub", "revoke", "optout", "block", "wrong"]
    + ["opt out", "remove me", "stop all"]
)
START = frozenset(["start", "unstop", "yes", "subscribe", "resubscribe"])
HELP = frozenset(["help", "info"])
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_SPACES = re.compile(r"\s+")


def classify(text: str) -> Decision:
    """What this reply decides: the whole message must be the word, so 'stop by tomorrow' is a reply."""
    word = _SPACES.sub(" ", _EDGES.sub("", text[:200])).casefold()
    if word in STOP:
        return Decision.OPT_OUT
    if word in START:
        return Decision.OPT_IN
    return Decision.HELP if word in HELP else Decision.NONE
