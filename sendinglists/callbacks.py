"""Owns where a provider account's callbacks go, built from the one public address we have, and whether they are taken."""

from django.conf import settings

from sendinglists.models import ProviderAccount
from webhooks import providers


def callback_url(row: ProviderAccount) -> str:
    """With the token where the token proves something, else with the account's public id: then the vendor's own signature
    proves, and no secret stands in an address that its console shows. Without PUBLIC_BASE_URL only the path."""
    base = f"{settings.PUBLIC_BASE_URL}/api/webhook-feedbacks/{row.provider}"
    adapter = providers.get(row.provider)
    if adapter is None or adapter.token_suffices:
        return f"{base}/{row.callback_token}"
    return f"{base}?account={row.account.public_id}"


def is_switched_on(provider: str) -> bool:
    """False for the sandbox where the service runs without it: nothing is sent with it, and its callbacks are unknown."""
    return provider != "sandbox" or settings.SANDBOX_ENABLED
