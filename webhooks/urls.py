"""Owns the paths providers call. `rest` is read from the raw request line, so one pattern serves every form."""

from django.urls import re_path

from webhooks.inbound.views import ProviderView

urlpatterns = [re_path(r"^api/webhook-feedbacks/(?P<rest>[\s\S]+)$", ProviderView.as_view(), name="webhook-feedbacks")]
