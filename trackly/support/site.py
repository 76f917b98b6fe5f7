"""Owns the admin site: its content security policy, and the addresses of pages that belong to no table."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.sites import UnfoldAdminSite

from trackly.showing import harmless

# What the theme needs: Alpine evaluates its attributes, and the colours stand in a style element.
_POLICY: Callable[[Callable[..., Any]], Callable[..., Any]] = csp_update(
    {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}
)


def _harmless(view: Callable[..., Any]) -> Callable[..., Any]:
    """The view, with what acts in its page named: titles, breadcrumbs and messages of the theme show names as they are.

    It is asked without NUL characters: no text in the database has one, and asking for one is an error there.
    """

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        asked = request.META.get("QUERY_STRING", "")
        if "%00" in asked:
            request.GET = QueryDict(asked.replace("%00", ""))
        response = view(request, *args, **kwargs)
        if isinstance(response, TemplateResponse) and not response.is_rendered:
            response.add_post_render_callback(_clean)
        elif isinstance(response, HttpResponse):
            _clean(response)
        return response

    return shown


def _clean(response: HttpResponse) -> None:
    if response.headers.get("Content-Type", "").startswith("text/html"):
        response.content = harmless(response.content.decode()).encode()


class SupportSite(UnfoldAdminSite):
    """/admin/"""

    site_header = site_title = "Trackly support"
    index_title = "The last 24 hours"
    enable_nav_sidebar = True

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        return _POLICY(_harmless(super().admin_view(view, cacheable)))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """By the door of all pages, so that a second factor and the limit of attempts hold here, too."""
        from allauth.account.decorators import secure_admin_login

        if request.user.is_authenticated and not self.has_permission(request):
            return render(request, "account/not_staff.html", status=403)
        return secure_admin_login(super().login)(request, extra_context)

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        logout(request)
        return HttpResponseRedirect(reverse("account_login"))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("account_change_password"))

    def get_urls(self) -> list[URLPattern]:
        return [path("find/", self.admin_view(self.find), name="find"), *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # Here and below: the site is built before the models these read are loaded.
        from trackly.support.overview import overview

        return super().index(request, {"overview": overview(request), **(extra_context or {})})

    def search(self, request: HttpRequest) -> HttpResponse:
        """The theme's own search of tables, which nothing here asks for."""
        raise Http404

    def find(self, request: HttpRequest) -> HttpResponse:
        """The one search box."""
        from trackly.support.finding import find_page

        return find_page(self, request)
