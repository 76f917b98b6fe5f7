"""Owns what every admin page shares: pages that tell a story, what may be done there, and its audit."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from trackly.audit import audit as put_down
from trackly.stories import Exchange, Story, without_numbers
from trackly.support import revealing
from trackly.support.health import health_of
from trackly.support.lists import ListPage
from trackly.support.ways import change_url, page_url


class CannotDo(Exception):
    """What was asked for is not done; the text says why and what to do instead."""


class Page(ListPage):
    """A table in the admin. A subclass names its columns, its story and what may be done about a row.

    For each verb of the story's acts there is a method do_<verb>(request, row, word) that returns a sentence on what it did,
    or raises CannotDo or PermissionDenied.
    """

    compressed_fields = True

    def story(self, request: HttpRequest, row: Any, *, is_revealed: bool) -> Story | None:
        """What the page of this row tells; None for a plain form."""
        return None

    def exchange(self, row: Any, *, is_revealed: bool) -> Exchange | None:
        """What may be downloaded of this row; None for nothing."""
        return None

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Evidence refers to what people set up; nothing is deleted here.
        return False

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        own = [
            path(
                "<path:object_id>/do/<slug:verb>/",
                self.admin_site.admin_view(require_POST(self.act)),
                name=f"{name}_do",
            ),
            path("<path:object_id>/download/", self.admin_site.admin_view(self.download), name=f"{name}_download"),
        ]
        return [*own, *super().get_urls()]

    # --- one row

    def act(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        """Do what a button of the story says, then show the story again."""
        row = self._row(request, object_id)
        done: Callable[..., str] | None = getattr(self, f"do_{verb}", None)
        if done is None:
            raise Http404
        try:
            messages.success(request, done(request, row, request.POST.get("word", "").strip().replace("\x00", "")))
        except CannotDo as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(change_url(row))

    def do_reveal(self, request: HttpRequest, row: Any, word: str) -> str:
        story = self.story(request, row, is_revealed=False)
        if story is None or not story.holds_secrets:
            raise CannotDo("Nothing is masked here.")
        revealing.reveal(request, row, now=timezone.now())
        return "Shown in full for ten minutes, to you alone; the audit trail says that you looked."

    def download(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The exchange of this row as text."""
        row = self._row(request, object_id)
        exchange = self.exchange(row, is_revealed=self._is_revealed(request, row))
        if exchange is None:
            raise Http404
        text = f"{exchange.request}\n\n--- what we answered\n{exchange.answer}\n"
        response = HttpResponse(text, content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{self.opts.model_name}-{row.pk}.txt"'
        response["X-Content-Type-Options"] = "nosniff"
        return response

    def told(self, request: HttpRequest, row: Any) -> Story | None:
        story = self.story(request, row, is_revealed=self._is_revealed(request, row))
        if story is None:
            return None
        # No button that would refuse.
        may_reveal = request.user.has_perm(revealing.PERMISSION)
        return replace(without_numbers(story), holds_secrets=story.holds_secrets and may_reveal)

    def _is_revealed(self, request: HttpRequest, row: Model) -> bool:
        return revealing.is_revealed(request, row, now=timezone.now())

    def _row(self, request: HttpRequest, object_id: str) -> Any:
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row


class EvidencePage(Page):
    """Rows that are evidence: read, never added, changed or deleted here. Newest first; a row's page is its story."""

    is_big = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied("This is evidence: it can be read, and acted on by its buttons.")
        row = self.get_object(request, unquote(object_id))
        story = self.told(request, row) if row is not None and self.has_view_permission(request, row) else None
        if story is None:
            # A plain form, a login, a 403, or "there is no such row".
            return super().change_view(request, object_id, form_url, extra_context)
        context = {
            **self.admin_site.each_context(request),
            "title": str(row),
            "subtitle": None,
            "opts": self.opts,
            "original": row,
            "story": story,
            "do_url": _do_url(row),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/story.html", context)


class Audited(ModelAdmin):
    """Every addition, change and deletion leaves an audit entry."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        audit(request, obj, "added")
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        fields = [
            name for part in message if isinstance(part, dict) for name in part.get("changed", {}).get("fields", [])
        ]
        audit(request, obj, "changed", ", ".join(fields) if fields else str(message)[:200])
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for row in queryset:
            audit(request, row, "deleted", str(row))
        return super().log_deletions(request, queryset)


class SetUpPage(Audited, Page):
    """Rows people set up: a form below the story; every change leaves an audit entry."""

    change_form_outer_before_template = "admin/_story.html"

    # Of a table whose rows call us: which requests are theirs. A new one's page shows the URL, so it is opened.
    source: ClassVar[str] = ""

    def told(self, request: HttpRequest, row: Any) -> Story | None:
        story = super().told(request, row)
        return story if story is None or self.has_change_permission(request, row) else replace(story, acts=())

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        context = dict(extra_context or {})
        row = self.get_object(request, unquote(object_id)) if object_id else None
        if row is not None and self.has_view_permission(request, row):
            context |= {
                "story": self.told(request, row),
                "health": health_of(self.source, row.pk) if self.source else None,
                "do_url": _do_url(row),
                "download_url": page_url(row, "download"),
            }
        return super().changeform_view(request, object_id, form_url, context)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        if self.source:
            onward = request.POST.copy()
            onward["_continue"] = "1"
            request.POST = onward  # type: ignore[assignment]
        return super().response_add(request, obj, post_url_continue)


def _do_url(row: Model) -> str:
    """What the template puts a verb behind."""
    return page_url(row, "do", "-").removesuffix("-/")


def audit(request: HttpRequest, row: Model, verb: str, detail: str = "") -> None:
    """Put down who did what to this row."""
    put_down(request.user.pk, row, verb, detail)
