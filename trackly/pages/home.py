"""Owns what stands before any account: the front door, and the choice among several accounts."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from trackly.models import Account, Membership
from trackly.pages.ways import address


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """To the person's account; to the choice where there are several; to the admin for staff without one."""
    held = Membership.objects.filter(user_id=request.user.pk).exclude(account__status=Account.Status.DELETED)
    memberships = list(held.select_related("account").order_by("account__name", "id")[:200])
    if len(memberships) == 1:
        return HttpResponseRedirect(address(memberships[0].account, "overview"))
    if not memberships and request.user.is_staff:
        return HttpResponseRedirect("/admin/")
    return render(request, "pages/home.html", {"memberships": memberships})
