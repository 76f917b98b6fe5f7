"""Registers the kernel as an app, its system checks, and the admin with a site of our own."""

from django.apps import AppConfig
from django.contrib.admin import apps as admin


class TracklyConfig(AppConfig):
    default = True
    name = "trackly"
    verbose_name = "Accounts"

    def ready(self) -> None:
        from trackly import checks  # noqa: F401  (registers the checks)


class SupportAdminConfig(admin.AdminConfig):
    default = False
    default_site = "trackly.support.site.SupportSite"
