"""Owns the registry of affiliate networks: every other module of this package is one."""

import sys
from functools import cache

from postbacks.networks.base import Network
from trackly.registry import load


@cache
def all_networks() -> dict[str, Network]:
    """Slug -> adapter, by file name."""
    return load(sys.modules[__name__])


def get(slug: str) -> Network | None:
    """The adapter of that name; None when there is no such file."""
    return all_networks().get(slug)


def choices() -> list[tuple[str, str]]:
    """(slug, name) for model fields and forms; a callable, so that a new file makes no migration."""
    return [(slug, network.name) for slug, network in all_networks().items()]
