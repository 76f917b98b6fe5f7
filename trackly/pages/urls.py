"""Owns the addresses of the account's pages: everything stands under /a/<public id of the account>/."""

from django.urls import include, path

app_name = "pages"

# One urls.py for each thing people come for.
_PARTS = ("overview", "sending", "messages", "requests", "money", "networks", "links", "settings", "help", "people")

urlpatterns = [path("a/<str:account>/", include(f"trackly.pages.{part}.urls")) for part in _PARTS]
