"""Gathers the tables of the app; each half owns its own."""

from webhooks.inbound.models import (  # noqa: F401
    DeliveryEvent,
    FailedWebhook,
    InboundRequest,
    ParkedReport,
    RefusalTally,
    Reply,
    RequestTotal,
)
