"""Owns the addresses of its pages."""

from django.urls import path

from trackly.pages.help import checks, finding, guide

urlpatterns = [
    path("help/", guide.guide, name="help"),
    path("help/troubleshoot/", checks.troubleshoot, name="troubleshoot"),
    path("help/troubleshoot/<str:check>/", checks.one, name="troubleshoot_one"),
    path("find/", finding.find, name="find"),
]
