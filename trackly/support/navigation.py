"""Owns the sidebar: the admin's tables in the order of the questions people come with."""

from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.urls import reverse, reverse_lazy

from trackly.support.permissions import may_see

# (group, [(icon, words, app, model, query)])
_GROUPS: tuple[tuple[str, tuple[tuple[str, str, str, str, str], ...]], ...] = (
    (
        "What went wrong",
        (
            ("error", "Failed webhooks", "webhooks", "failedwebhook", ""),
            ("help", "Unmatched conversions", "postbacks", "conversion", "?verdict__exact=unknown_click"),
            ("wrong_location", "Unrouted conversions", "postbacks", "conversion", "?routed=no"),
            ("local_parking", "Parked reports", "webhooks", "parkedreport", ""),
        ),
    ),
    (
        "What came in",
        (
            ("inbox", "Raw requests", "webhooks", "inboundrequest", ""),
            ("mark_email_read", "Delivery events", "webhooks", "deliveryevent", ""),
            ("reply", "Replies", "webhooks", "reply", ""),
            ("ads_click", "Clicks", "postbacks", "click", ""),
            ("paid", "Conversions", "postbacks", "conversion", ""),
        ),
    ),
    (
        "Messages and people",
        (
            ("sms", "Messages", "sendinglists", "message", ""),
            ("contacts", "Contacts", "sendinglists", "contact", ""),
            ("how_to_reg", "Subscriptions", "sendinglists", "subscription", ""),
            ("rule", "Opt-outs and opt-ins", "sendinglists", "subscriptionchange", ""),
            ("block", "Suppressions", "sendinglists", "suppression", ""),
        ),
    ),
    (
        "Set-up",
        (
            ("key", "Provider accounts", "sendinglists", "provideraccount", ""),
            ("format_list_bulleted", "Sending lists", "sendinglists", "sendinglist", ""),
            ("hub", "Network connections", "postbacks", "networkconnection", ""),
            ("sell", "Offers", "postbacks", "offer", ""),
            ("link", "Links", "sendinglists", "link", ""),
            ("dns", "Address ranges", "trackly", "addressrange", ""),
        ),
    ),
    (
        "Accounts",
        (
            ("apartment", "Accounts", "trackly", "account", ""),
            ("badge", "Memberships", "trackly", "membership", ""),
            ("vpn_key", "API keys", "trackly", "apikey", ""),
            ("group", "Users", "auth", "user", ""),
            ("history_edu", "Audit", "trackly", "auditentry", ""),
        ),
    ),
    (
        "The service",
        (
            ("schedule", "Hourly totals", "trackly", "hourlytotal", ""),
            ("summarize", "Request totals", "webhooks", "requesttotal", ""),
            ("filter_alt", "Refusal tallies", "webhooks", "refusaltally", ""),
            ("memory", "Worker runs", "trackly", "workerrun", ""),
            ("monitor_heart", "Readiness", "trackly", "pulse", ""),
        ),
    ),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups and items as unfold takes them; what a person may not see is left out."""
    overview = {"title": "Overview", "icon": "dashboard", "link": reverse_lazy("admin:index")}
    groups = [
        {
            "title": title,
            "separator": True,
            "items": [_item(request, *item) for item in items if may_see(request.user, apps.get_model(*item[2:4]))],
        }
        for title, items in _GROUPS
    ]
    return [{"items": [overview]}, *(group for group in groups if group["items"])]


def _item(request: HttpRequest, icon: str, title: str, app: str, model: str, query: str) -> dict[str, Any]:
    path = reverse(f"admin:{app}_{model}_changelist")
    # Two items of one table: the one whose filter is on is the active one.
    asked = f"?{request.GET.urlencode()}" if request.GET else ""
    rivals = {item[4] for _, items in _GROUPS for item in items if item[2:4] == (app, model)}
    is_here = request.path.startswith(path)
    is_active = is_here and (asked == query if query or asked in rivals else True)
    return {"title": title, "icon": icon, "link": path + query, "active": is_active}
