"""Owns the admin's lists: nothing is counted, nothing is sorted that no index sorts, and no request reads a whole table.

What an index serves is looked for in all rows: the account, an exact search. Any other filter looks among the newest rows, of
the account if one is chosen, and the page says so: a rare word, or one no row has, must not read everything to find that out.
"""

from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

# Among so many newest rows a filter without an index looks.
NEWEST = 20_000
# A list is turned no further: every row before the page is read to get there.
PAGES = 200
# So many rows of another table are followed from a search; the newest.
FOLLOWED = 1_000
# Parameters of a list that filter nothing.
_PLAIN = frozenset({"p", "q", "o", "e", "all"})


class ListPage(ModelAdmin):
    """A list that costs the same however large its table is."""

    paginator = InfinitePaginator
    show_full_result_count = False
    # Each would count the table.
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    list_fullwidth = True
    list_filter_submit = True
    # Another order would have to sort the whole table.
    sortable_by: ClassVar[tuple[str, ...]] = ()
    list_before_template = "admin/_newest.html"
    is_big: ClassVar[bool] = False
    # Beginnings of the parameters that an index serves in the order of the list.
    indexed: ClassVar[tuple[str, ...]] = ("account", "q")
    # What the order of the list goes by.
    newest_by: ClassVar[str] = "pk"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        page = request.GET.get("p", "")
        if page.isdecimal() and int(page[:9]) > PAGES:
            messages.warning(
                request, f"A list is turned to page {PAGES} at most: filter it, or search, to get further back."
            )
            kept = request.GET.copy()
            kept["p"] = str(PAGES)
            return HttpResponseRedirect(f"{request.path}?{kept.urlencode()}")
        return super().changelist_view(request, {"newest": self._reach(request), **(extra_context or {})})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        reach = self._reach(request)
        return self.newest(self.narrowed(request, rows), reach) if reach else rows

    def narrowed(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """By what an index serves, so that a filter looks among the newest of these."""
        for name in self.indexed:
            key = request.GET.get(f"{name}__id__exact", "")
            if key.isdecimal() and len(key) < 19:
                rows = rows.filter(**{f"{name}_id": int(key)})
        return rows

    def newest(self, rows: QuerySet[Any], n: int) -> QuerySet[Any]:
        """The newest n of these; their end is found in an index alone."""
        end = list(rows.order_by(f"-{self.newest_by}").values_list(self.newest_by, flat=True)[n : n + 1])
        return rows.filter(**{f"{self.newest_by}__gt": end[0]}) if end else rows

    def _reach(self, request: HttpRequest) -> int:
        """Among how many newest rows this list looks; 0: among all."""
        match, own = request.resolver_match, f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        if not self.is_big or match is None or match.url_name != own:
            return 0
        is_searched = bool(request.GET.get("q", "").strip())
        if is_searched and "q" in self.indexed:
            return 0
        unserved = [name for name in request.GET if name not in _PLAIN and not name.startswith(("_", *self.indexed))]
        return NEWEST if unserved or is_searched else 0

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """What the list filters by, exactly, and times from and to. Django allows any comparison with any column: by
        `to__startswith` a masked number could be read digit by digit."""
        name, _, how = lookup.partition("__")
        if name not in {field.name for field in self.opts.get_fields()} | {"pk", "account_id", "party_id"}:
            # A parameter of a filter of our own, or nonsense, which Django finds out.
            return super().lookup_allowed(lookup, value, request)
        filters = {str(item[0] if isinstance(item, (tuple, list)) else item) for item in self.list_filter}
        is_known = name in filters | {self.opts.pk.name, "pk", "id", "party_id"}
        is_time = how in ("gte", "gt", "lte", "lt") and name.endswith("_at")
        if not is_known or (how not in ("", "exact", "isnull", "in", "id__exact") and not is_time):
            return False
        return name == "party_id" or super().lookup_allowed(lookup, value, request)

    # --- search

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Of a big table by exact values alone: '=' in Django's search_fields ignores case, and with that every index."""
        term = search_term.strip().replace("\x00", "")
        if not self.is_big:
            return super().get_search_results(request, queryset, term)
        return (queryset.filter(self.found(term)) if term else queryset), False

    def found(self, term: str) -> Q:
        """Rows that have this value in one of the fields that are searched."""
        met = Q(pk__in=[])
        for name in self.search_fields:
            met |= self._has(str(name).removeprefix("="), term)
        return met

    def _has(self, name: str, term: str) -> Q:
        near, _, far = name.partition("__")
        if not far:
            return Q(**{name: term})
        # Of another table: first its rows, so that each step is a lookup in one index.
        related: type[Model] = self.opts.get_field(near).related_model
        keys = related._default_manager.filter(**{far: term}).order_by("-pk").values_list("pk", flat=True)[:FOLLOWED]
        return Q(**{f"{near}__in": list(keys)})
