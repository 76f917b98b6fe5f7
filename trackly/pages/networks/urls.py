"""Owns the addresses of network connections: their set-up, tests and settings."""

from django.urls import URLPattern, path

from trackly.pages.networks import connections, rotation, settings, setup, testing

urlpatterns: list[URLPattern] = [
    path("connections/", connections.index, name="connections"),
    path("connections/new/", connections.new, name="connection_new"),
    path("connections/<int:connection_id>/", setup.show, name="connection"),
    path("connections/<int:connection_id>/lint/", setup.look_at, name="connection_lint"),
    path("connections/<int:connection_id>/test-link/", testing.make_link, name="connection_test_link"),
    path("connections/<int:connection_id>/fire/", testing.fire, name="connection_fire"),
    path("connections/<int:connection_id>/edit/", settings.edit, name="connection_edit"),
    path("connections/<int:connection_id>/rotate/", rotation.rotate, name="connection_rotate"),
    path("connections/<int:connection_id>/withdraw/", rotation.withdraw, name="connection_withdraw"),
]
