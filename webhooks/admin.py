"""Gathers the admin pages of the app; each half owns its own."""

from webhooks.inbound import admin  # noqa: F401
