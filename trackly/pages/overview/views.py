"""Owns the overview of an account."""

from django.http import HttpResponse

from trackly.pages.visits import Visit, page


@page()
def overview(visit: Visit) -> HttpResponse:
    return visit.render("pages/overview/overview.html", {"title": "Overview"})
