"""Owns the system checks: what is unsafe or unusable in this configuration, said before it hurts."""

from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from trackly.clients import parse_networks


@register(Tags.security)
def check_keys(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Every key in ENCRYPTION_KEYS must be one."""
    if not settings.ENCRYPTION_KEYS:
        return [Error("ENCRYPTION_KEYS is empty.", hint=_KEY_HINT, id="trackly.E001")]
    try:
        for key in settings.ENCRYPTION_KEYS:
            Fernet(key)
    except ValueError:
        return [Error("ENCRYPTION_KEYS holds something that is not a Fernet key.", hint=_KEY_HINT, id="trackly.E002")]
    return []


@register()
def check_proxies(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """TRUSTED_PROXIES must be addresses or ranges."""
    try:
        parse_networks(tuple(settings.TRUSTED_PROXIES))
    except ValueError as error:
        return [
            Error(
                f"TRUSTED_PROXIES: {error}", hint="Write addresses or ranges: 10.0.0.0/8,127.0.0.1", id="trackly.E003"
            )
        ]
    return []


@register(Tags.security, deploy=True)
def check_public_address(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """In production vendors sign the address they were told, so it must be configured, and be https."""
    parts = urlsplit(settings.PUBLIC_BASE_URL)
    if settings.PUBLIC_BASE_URL and not parts.hostname:
        return [Error("PUBLIC_BASE_URL is no address.", hint="Begin it with https://", id="trackly.E005")]
    if not parts.hostname:
        hint = "Set it to the address providers and networks call, e.g. https://hooks.example.com"
        return [Error("PUBLIC_BASE_URL is not set: no signature can be verified.", hint=hint, id="trackly.E004")]
    if parts.scheme != "https" or not settings.HTTPS_REQUIRED:
        return [
            Warning("Callbacks are accepted over plain http.", hint="Set PUBLIC_BASE_URL to https.", id="trackly.W001")
        ]
    return []


@register(Tags.security, deploy=True)
def check_sandbox(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The sandbox provider is for this machine only."""
    if settings.SANDBOX_ENABLED:
        return [Warning("The sandbox provider accepts callbacks.", hint="Unset SANDBOX_ENABLED.", id="trackly.W002")]
    return []


_KEY_HINT = 'Make one: python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
