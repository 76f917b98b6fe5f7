"""Owns the addresses of its pages."""

from django.urls import path

from trackly.pages.people import views

urlpatterns = [
    path("people/", views.people, name="people"),
    path("people/invite/", views.invite, name="invite"),
    path("people/invitations/<int:invitation_id>/again/", views.invite_again, name="invitation_again"),
    path("people/invitations/<int:invitation_id>/withdraw/", views.withdraw, name="invitation_withdraw"),
    path("people/<int:membership_id>/role/", views.change_role, name="member_role"),
    path("people/<int:membership_id>/remove/", views.remove, name="member_remove"),
]
