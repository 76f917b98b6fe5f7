"""Owns the URLs of a measurement: the project's, and the ordinary way of doing the same."""

from django.urls import include, path

from bench.ordinary import OrdinaryView

urlpatterns = [
    path("ordinary/<str:slug>/<str:token>", OrdinaryView.as_view()),
    path("", include("trackly.urls")),
]
