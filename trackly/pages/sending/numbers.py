"""Owns the choice of numbers that become sending lists."""

from django.db import transaction
from django.http import HttpResponse

from sendinglists import numbers
from sendinglists.models import ProviderAccount, SendingList
from trackly.pages.sending.credentials import one
from trackly.pages.sending.forms import MOST_NUMBERS, numbers_form, posted
from trackly.pages.visits import OWNER, Visit, page
from trackly.showing import counted


@page(sees=OWNER, changes=OWNER)
def choose(visit: Visit, credentials_id: int) -> HttpResponse:
    row = one(visit, credentials_id)
    if row.removed_at is not None:
        visit.warn("These credentials are retired; numbers cannot be added to them.")
        return visit.redirect("credentials", row.pk)
    form = numbers_form(row)(posted(visit.request))
    if form.is_bound and form.is_valid():
        n = _add(visit, row, form.chosen)
        visit.say(f"{counted(n, 'sending list')} made." if n else "These numbers are lists already.")
        return visit.redirect("credentials", row.pk, made=1)
    return visit.render(
        "pages/sending/credentials_numbers.html",
        {
            "title": f"Numbers of {row.name}",
            "row": row,
            "form": form,
            "can_list": bool(row.numbers),
            "most": MOST_NUMBERS if len(form.keys) > MOST_NUMBERS else 0,
        },
    )


def _add(visit: Visit, row: ProviderAccount, chosen: dict[str, tuple[str, str]]) -> int:
    """How many lists there are more. A deleted one stands up again, with the brand it had unless another is typed."""
    with transaction.atomic():
        n = numbers.add(row, {number: name for number, (name, _) in chosen.items()}, visit.now)
        for number, (_, brand) in chosen.items():
            if brand:
                SendingList.objects.filter(provider_account=row, number=number).update(brand=brand)
        visit.audit(row, "added numbers to", counted(len(chosen), "number"))
    return n
