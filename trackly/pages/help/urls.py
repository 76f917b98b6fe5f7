"""Owns the addresses of its pages."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
