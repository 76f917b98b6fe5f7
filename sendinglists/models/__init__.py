"""Gathers the tables of this app: Django looks for them here, and whoever needs several takes them from here."""

from sendinglists.models.credentials import ProviderAccount, SetupStep
from sendinglists.models.lists import Contact, SendingList, Subscription, SubscriptionChange, Suppression
from sendinglists.models.messages import Echo, Link, LinkDomain, Message, _link_code, _message_code

__all__ = [
    "Contact",
    "Echo",
    "Link",
    "LinkDomain",
    "Message",
    "ProviderAccount",
    "SendingList",
    "SetupStep",
    "Subscription",
    "SubscriptionChange",
    "Suppression",
    # Migrations name them.
    "_link_code",
    "_message_code",
]
