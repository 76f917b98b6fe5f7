"""Owns the ways in that need no account yet: the link of an invitation, and the reset of a password where no mail is sent."""

from datetime import datetime

from allauth.account import views as allauth_views
from allauth.core import ratelimit
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from trackly.models import Invitation, Membership
from trackly.pages.people import invitations
from trackly.pages.people.forms import NewPersonForm
from trackly.pages.people.invitations import Standing
from trackly.pages.ways import address


@never_cache
@sensitive_post_parameters("password1", "password2")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    now, row = timezone.now(), invitations.find(token)
    standing = invitations.standing_of(row, now)
    if row is None or standing is not Standing.OPEN:
        return _closed(request, row, standing)
    if request.user.is_authenticated:
        return _for_a_person(request, row, now)
    return _for_a_stranger(request, row, token, now)


@never_cache
def reset_password(request: HttpRequest) -> HttpResponseBase:
    """By mail; where none is sent, in words that are the same for everybody."""
    if settings.HAS_MAIL:
        return allauth_views.password_reset(request)
    return render(request, "account/password_reset_without_mail.html")


def _for_a_person(request: HttpRequest, row: Invitation, now: datetime) -> HttpResponse:
    user_id = int(request.user.pk or 0)
    if Membership.objects.filter(account=row.account, user_id=user_id).exists():
        return render(request, "pages/people/belongs.html", {"row": row})
    if request.method == "POST":
        return _accept(request, row, user_id, now)
    return render(request, "pages/people/invitation.html", {"row": row})


def _accept(request: HttpRequest, row: Invitation, user_id: int, now: datetime) -> HttpResponse:
    try:
        invitations.accept(row.pk, user_id, now=now)
    except invitations.Closed as error:
        return _closed(request, row, error.standing)
    except invitations.BelongsAlready:
        return render(request, "pages/people/belongs.html", {"row": row})
    return HttpResponseRedirect(address(row.account, "overview"))


def _for_a_stranger(request: HttpRequest, row: Invitation, token: str, now: datetime) -> HttpResponse:
    """Signs in, or becomes a user: that works although sign-up is closed."""
    if request.method == "POST" and not ratelimit.consume(request, action="invitation", key=str(row.pk)):
        return ratelimit.respond_429(request)
    form = NewPersonForm(request.POST if request.method == "POST" else None, initial={"email": row.email})
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                user: User = form.save()
                invitations.accept(row.pk, user.pk, now=now)
        except invitations.Closed as error:
            return _closed(request, row, error.standing)
        except IntegrityError:
            form.add_error("username", "Somebody took this name a moment ago. Choose another.")
        else:
            login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
            return HttpResponseRedirect(address(row.account, "overview"))
    return render(request, "pages/people/invitation.html", {"row": row, "form": form, "path": request.path})


def _closed(request: HttpRequest, row: Invitation | None, standing: Standing) -> HttpResponse:
    is_mine = row is not None and row.accepted_by_id is not None and row.accepted_by_id == request.user.pk
    context = {"said": standing.value, "is_mine": is_mine}
    return render(request, "pages/people/closed.html", context, status=404 if row is None else 410)
