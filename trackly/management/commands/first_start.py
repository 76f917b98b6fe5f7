"""manage.py first_start: on an empty database, what a newcomer needs to see something happen; otherwise nothing."""

import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from postbacks.models import NetworkConnection, Offer
from sendinglists import setup
from sendinglists.models import Link, Message, ProviderAccount, SendingList
from trackly.models import Account, ApiKey, Membership

NOTES = {"owner": "   (for the pages of the account)"}


class Command(BaseCommand):
    help = "On an empty database: make an account with owner and API key, a staff user, a sandbox list, connections, a link."

    def handle(self, *args: Any, **options: Any) -> str:
        if Account.objects.exists() or get_user_model().objects.exists():
            return ""
        with transaction.atomic():
            passwords, key = create()
        lines = [f"  {name:<8} password {password}{NOTES.get(name, '')}" for name, password in passwords.items()]
        lines.append(f"  {'API':<8} key      {key}")
        change = "  change one with: .venv/bin/python manage.py changepassword NAME"
        return "\n".join(["Made on this first start, and shown only now:", *lines, change])


def create() -> tuple[dict[str, str], str]:
    """User name -> generated password; and a key of the API."""
    users, passwords = get_user_model(), {name: secrets.token_urlsafe(12) for name in ("owner", "staff")}
    owner = users.objects.create_user("owner", password=passwords["owner"])
    users.objects.create_superuser("staff", password=passwords["staff"])
    account = Account.objects.create(name="First account")
    Membership.objects.create(account=account, user=owner, role=Membership.Role.OWNER)
    message = _message(account)
    tune, _ = _connections(account)
    offer = Offer.objects.create(
        account=account,
        connection=tune,
        name="First offer",
        destination="https://example.com/aff_c?offer_id=1&aff_id=1",
    )
    Link.objects.create(account=account, offer=offer, message=message)
    api_key = ApiKey(account=account, name="First key")
    key = api_key.mint()
    api_key.save()
    return passwords, key


def _message(account: Account) -> Message:
    """A message the sandbox has, so that a delivery report has something to speak of."""
    party = ProviderAccount.with_settings(
        account=account, provider="sandbox", name="Sandbox", settings={"signing_key": secrets.token_urlsafe(24)}
    )
    party.save()
    sending_list = SendingList.objects.create(
        account=account, provider_account=party, name="First list", brand="First brand", number="+18005550142"
    )
    setup.want(party, setup.Task.CONFIGURE, timezone.now())
    return Message.objects.create(
        account=account, provider_account=party, sending_list=sending_list, to="+14155550101", body="Hello from the sandbox",
        created_at=timezone.now() - timedelta(seconds=1),
    )  # fmt: skip


def _connections(account: Account) -> tuple[NetworkConnection, NetworkConnection]:
    made = []
    for network, name in (("tune", "TUNE"), ("everflow", "Everflow")):
        connection = NetworkConnection.with_token(account=account, network=network, name=name)
        connection.save()
        made.append(connection)
    return made[0], made[1]
