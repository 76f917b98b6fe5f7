"""Owns the addresses of failed webhooks."""

from django.urls import URLPattern, path

from trackly.pages.requests import failed, replays, request

urlpatterns: list[URLPattern] = [
    path("requests/", failed.index, name="requests"),
    path("requests/replay/", replays.replay, name="requests_replay"),
    path("requests/replayed/", replays.replayed, name="requests_replayed"),
    path("requests/discard/", replays.discard, name="requests_discard"),
    path("requests/<uuid:uid>/", request.show, name="request"),
    path("requests/<uuid:uid>/text/", request.text, name="request_text"),
    path("requests/<uuid:uid>/replay/", request.replay, name="request_replay"),
    path("requests/<uuid:uid>/discard/", request.discard, name="request_discard"),
]
