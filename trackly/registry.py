"""Owns the discovery of adapters: one module or package is one adapter, found by its name."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

# Modules of an adapter package that hold its contract and not an adapter.
CONTRACT = {"base"}


def load(package: ModuleType) -> dict[str, Any]:
    """File name -> the module's `adapter`, whose slug becomes that name; raises AttributeError if one has none."""
    found = {}
    for module in iter_modules(package.__path__):
        if module.name in CONTRACT:
            continue
        adapter = import_module(f"{package.__name__}.{module.name}").adapter
        adapter.slug = module.name
        found[module.name] = adapter
    return found
