"""Owns the paths affiliate networks and phones call."""

from django.urls import re_path

from postbacks.views import NetworkView, open_link

urlpatterns = [
    re_path(r"^api/postbacks/(?P<rest>[\s\S]+)$", NetworkView.as_view(), name="postbacks"),
    re_path(r"^c/(?P<code>[^/]{1,64})/?$", open_link, name="open-link"),
]
