"""Owns the registry of SMS providers: every other module of this package is one."""

import sys
from functools import cache

from trackly.registry import load
from webhooks.providers.base import Provider


@cache
def all_providers() -> dict[str, Provider]:
    """Slug -> adapter, by file name."""
    return load(sys.modules[__name__])


def get(slug: str) -> Provider | None:
    """The adapter of that name; None when there is no such file."""
    return all_providers().get(slug)


def choices() -> list[tuple[str, str]]:
    """(slug, name) for model fields and forms; a callable, so that a new file makes no migration."""
    return [(slug, provider.name) for slug, provider in all_providers().items()]
