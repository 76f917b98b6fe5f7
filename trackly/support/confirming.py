"""Owns the question before something is done to more than was looked at: how many, which, and why."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from trackly.showing import Shown, counted

# Counting more would read the table; nobody decides differently at 20,000.
COUNTED = 10_000


def is_unsure(request: HttpRequest) -> bool:
    """True when everything a list finds is meant and nobody has said yet that it is."""
    return request.POST.get("select_across") == "1" and "sure" not in request.POST


def ask(
    page: ModelAdmin,
    request: HttpRequest,
    rows: QuerySet[Any],
    *,
    label: str,
    example: Callable[[Any], tuple[Shown, ...]],
    wants_reason: bool = False,
) -> HttpResponse:
    """The page that asks. Its form posts the same action again, with sure=yes and, where it is wanted, a reason."""
    n = rows.order_by()[: COUNTED + 1].count()
    noun, nouns = str(page.opts.verbose_name), str(page.opts.verbose_name_plural)
    context = {
        **page.admin_site.each_context(request),
        "title": label,
        "subtitle": None,
        "opts": page.opts,
        "action": request.POST["action"],
        "label": label,
        "words": counted(n, noun, nouns) if n <= COUNTED else f"more than {COUNTED:,} {nouns}",
        "examples": [example(row) for row in rows[:5]],
        "selected": request.POST.getlist("_selected_action"),
        "select_across": request.POST.get("select_across", "0"),
        "wants_reason": wants_reason,
        "is_missing": "reason" in request.POST,
    }
    return render(request, "admin/confirm.html", context)
