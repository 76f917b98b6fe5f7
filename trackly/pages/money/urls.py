"""Owns the addresses of conversions."""

from django.urls import URLPattern, path

from trackly.pages.money import conversion, conversions, files, held, matching

urlpatterns: list[URLPattern] = [
    path("conversions/", conversions.index, name="conversions"),
    path("conversions.csv", files.conversions_csv, name="conversions_csv"),
    path("conversions/accept/", held.accept, name="conversions_accept"),
    path("unmatched/", matching.unmatched, name="unmatched"),
    path("conversions/<str:conversion>/", conversion.show, name="conversion"),
    path("conversions/<str:conversion>/match/", matching.match, name="conversion_match"),
    path("conversions/<str:conversion>/do/<str:verb>/", conversion.do, name="conversion_do"),
]
