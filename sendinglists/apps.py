"""Registers the app."""

from django.apps import AppConfig


class SendinglistsConfig(AppConfig):
    name = "sendinglists"
    verbose_name = "Sending lists"
