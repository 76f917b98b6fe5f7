"""Owns the URL table of the project."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from trackly.pages.home import home
from trackly.pages.people.entrance import invitation, reset_password
from trackly.views import healthz, readyz, show_metrics

urlpatterns = [
    path("", include("webhooks.urls")),
    path("", include("postbacks.urls")),
    path("api/v2/", include("trackly.api.urls")),
    path("admin/", admin.site.urls),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", show_metrics),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("account/password/reset/", reset_password),
    path("account/", include("allauth.urls")),
    path("invitation/<str:token>/", invitation, name="invitation"),
    path("", include("trackly.pages.urls")),
    path("", home, name="home"),
]
