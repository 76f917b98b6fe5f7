"""Owns who may see a table: what pages that gather from many tables ask before they show anything of one."""

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Model


def may_see(user: User | AnonymousUser, model: type[Model]) -> bool:
    """True as for the table's own pages in the admin: who may change it sees it, too."""
    app, name = model._meta.app_label, model._meta.model_name
    return user.has_perm(f"{app}.view_{name}") or user.has_perm(f"{app}.change_{name}")
