"""Registers the kernel as an app and its system checks."""

from django.apps import AppConfig


class TracklyConfig(AppConfig):
    name = "trackly"
    verbose_name = "Accounts"

    def ready(self) -> None:
        from trackly import checks  # noqa: F401  (registers the checks)
