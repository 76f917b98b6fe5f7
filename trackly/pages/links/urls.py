"""Owns the addresses of offers, links, clicks and brand domains."""

from django.urls import path

from trackly.pages.links import clicks, domains, links, offers

urlpatterns = [
    path("offers/", offers.listed, name="offers"),
    path("offers/new/", offers.new, name="offer_new"),
    path("offers/<int:offer_id>/", offers.show, name="offer"),
    path("offers/<int:offer_id>/edit/", offers.edit, name="offer_edit"),
    path("offers/<int:offer_id>/<str:verb>/", offers.move, name="offer_move"),
    path("links/", links.listed, name="links"),
    # Not below links/: an own code may be any word.
    path("new-link/", links.new, name="link_new"),
    path("links/<str:code>/", links.show, name="link"),
    path("links/<str:code>/edit/", links.edit, name="link_edit"),
    path("links/<str:code>/end/", links.end, name="link_end"),
    path("clicks/", clicks.listed, name="clicks"),
    path("clicks/<str:click>/", clicks.show, name="click"),
    path("domains/", domains.listed, name="domains"),
    path("domains/new/", domains.new, name="domain_new"),
    path("domains/<int:domain_id>/", domains.show, name="domain"),
    path("domains/<int:domain_id>/check/", domains.check_now, name="domain_check"),
    path("domains/<int:domain_id>/remove/", domains.remove, name="domain_remove"),
    path("fallback/", domains.fallback, name="fallback"),
]
