"""Owns what stands before any account: the front door, the choice among several accounts, and the first account of one's own."""

from zoneinfo import available_timezones

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.forms import Select
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from trackly.audit import audit
from trackly.currencies import CURRENCIES
from trackly.models import Account, Membership
from trackly.pages.forms import ModelForm
from trackly.pages.ways import address


class AccountForm(ModelForm):
    class Meta:
        model = Account
        fields = ["name", "currency", "time_zone"]
        labels = {"name": "Name of the account"}
        help_texts = {"currency": "Sums are shown in it.", "time_zone": "Sets where a day begins."}
        widgets = {
            "currency": Select(choices=[(code, code) for code in sorted(CURRENCIES)]),
            "time_zone": Select(choices=[(name, name) for name in sorted(available_timezones())]),
        }


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """To the person's account; to the choice where there are several; to the admin for staff without one."""
    held = Membership.objects.filter(user_id=request.user.pk or 0).exclude(account__status=Account.Status.DELETED)
    memberships = list(held.select_related("account").order_by("account__name", "id")[:200])
    if len(memberships) == 1:
        return HttpResponseRedirect(address(memberships[0].account, "overview"))
    if not memberships and request.user.is_staff:
        return HttpResponseRedirect("/admin/")
    if not memberships and settings.SIGNUP_OPEN:
        return _first_account(request)
    return render(request, "pages/home.html", {"memberships": memberships})


def _first_account(request: HttpRequest) -> HttpResponse:
    form = AccountForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        return HttpResponseRedirect(address(_made(form, int(request.user.pk or 0)), "overview"))
    return render(request, "pages/home.html", {"memberships": [], "form": form})


@transaction.atomic
def _made(form: AccountForm, user_id: int) -> Account:
    """The new account, or the one a second press of the button found made."""
    get_user_model().objects.select_for_update(no_key=True).get(pk=user_id)
    held = Membership.objects.select_related("account").filter(user_id=user_id)
    found = held.exclude(account__status=Account.Status.DELETED).first()
    if found is not None:
        return found.account
    account: Account = form.save()
    Membership.objects.create(account=account, user_id=user_id, role=Membership.Role.OWNER)
    audit(user_id, account, "made", account.name)
    return account
