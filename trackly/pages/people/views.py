"""Owns the page of an account's people: who belongs to it, and who is invited."""

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse

from trackly.models import Invitation, Membership
from trackly.pages.people import invitations, mail, membership
from trackly.pages.people.forms import InviteForm, RoleForm
from trackly.pages.visits import OWNER, Visit, act, page

# More people than any account has; one that has more sees its first ones.
_MOST = 500


@page()
def people(visit: Visit) -> HttpResponse:
    second = Authenticator.objects.filter(user=OuterRef("user"), type=Authenticator.Type.TOTP)
    members = visit.rows(Membership).select_related("user").annotate(has_second_factor=Exists(second))
    context = {
        "title": "People",
        "members": list(members.order_by("id")[:_MOST]),
        "invited": _invited(visit) if visit.is_owner else [],
        "roles": Membership.Role.choices,
        "most": _MOST,
    }
    return visit.render("pages/people/people.html", context)


@page(sees=OWNER, changes=OWNER)
def invite(visit: Visit) -> HttpResponse:
    is_posted = visit.request.method == "POST"
    form = InviteForm(visit.request.POST if is_posted else None)
    if is_posted and form.is_valid():
        try:
            row, token = invitations.invite(visit.account, **form.cleaned_data, by=_person(visit), now=visit.now)
        except membership.Refused as error:
            form.add_error(None, str(error))
        else:
            return _show_link(visit, row, token)
    return visit.render("pages/people/invite.html", {"title": "Invite somebody", "form": form})


@act(changes=OWNER)
def invite_again(visit: Visit, invitation_id: int) -> HttpResponse:
    visit.one(Invitation, pk=invitation_id)
    try:
        made = invitations.again(visit.account, invitation_id, by=_person(visit), now=visit.now)
    except membership.Refused as error:
        visit.warn(str(error))
        return visit.redirect("people")
    if made is None:
        visit.warn("That invitation was used or withdrawn meanwhile.")
        return visit.redirect("people")
    return _show_link(visit, *made)


@act(changes=OWNER)
def withdraw(visit: Visit, invitation_id: int) -> HttpResponse:
    row = visit.one(Invitation, pk=invitation_id)
    if invitations.withdraw(visit.account, invitation_id, by=_person(visit), now=visit.now):
        visit.say(f"The invitation of {row.email} is withdrawn: its link opens nothing any more.")
    else:
        visit.warn("That invitation was used or withdrawn meanwhile.")
    return visit.redirect("people")


@act(changes=OWNER)
def change_role(visit: Visit, membership_id: int) -> HttpResponse:
    form = RoleForm(visit.request.POST)
    if not form.is_valid():
        visit.one(Membership, pk=membership_id)
        visit.warn("There is no such role; nothing was changed.")
        return visit.redirect("people")
    role = Membership.Role(form.cleaned_data["role"])
    try:
        row = membership.change_role(visit.account, membership_id, role, _person(visit))
    except membership.Refused as error:
        visit.warn(str(error))
    else:
        visit.say(f"{_demanded(row).user} is now {role.label.lower()} of this account.")
    return visit.redirect("people")


@act(changes=OWNER)
def remove(visit: Visit, membership_id: int) -> HttpResponse:
    try:
        row = membership.remove(visit.account, membership_id, _person(visit))
    except membership.Refused as error:
        visit.warn(str(error))
    else:
        visit.say(f"{_demanded(row).user} does not belong to this account any more.")
    return visit.redirect("people")


def _person(visit: Visit) -> int:
    return int(visit.request.user.pk or 0)


def _demanded(row: Membership | None) -> Membership:
    if row is None:
        raise Http404("There is no such person in this account.")
    return row


def _invited(visit: Visit) -> list[tuple[Invitation, bool]]:
    """(invitation, whether it has expired)."""
    return [(row, row.expires_at <= visit.now) for row in invitations.pending(visit.account)[:_MOST]]


def _show_link(visit: Visit, row: Invitation, token: str) -> HttpResponse:
    """Once, in the answer to the form: it is kept nowhere."""
    base = settings.PUBLIC_BASE_URL or visit.request.build_absolute_uri("/").rstrip("/")
    link = f"{base}{reverse('invitation', args=[token])}"
    if settings.HAS_MAIL:
        # One line, whatever the account is called.
        subject = f"[Trackly] You are invited to {' '.join(visit.account.name.split())}"
        words = {"row": row, "link": link, "account": visit.account, "by": visit.request.user}
        mail.post(EmailMessage(subject, render_to_string("pages/people/invitation_mail.txt", words), to=[row.email]))
    context = {"title": f"{row.email} is invited", "row": row, "link": link, "is_mailed": settings.HAS_MAIL}
    return visit.render("pages/people/invited.html", context)
