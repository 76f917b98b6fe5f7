"""Owns the addresses of its pages."""

from django.urls import path

from trackly.pages.overview import views

urlpatterns = [path("", views.overview, name="overview")]
