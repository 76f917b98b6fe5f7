"""Owns the overview of an account: the page that is opened every morning."""

from django.http import HttpResponse

from trackly.pages.overview import numbers
from trackly.pages.overview.attention import needs
from trackly.pages.overview.charts import charts
from trackly.pages.overview.figures import conversions_url, figures, revenue
from trackly.pages.overview.first_steps import first_steps
from trackly.pages.overview.health import health, known
from trackly.pages.visits import Visit, page
from trackly.waiting import look


@page()
def overview(visit: Visit) -> HttpResponse:
    """The span is kept in the address; nothing on the page changes by itself."""
    span = numbers.span_named(visit.request.GET.get("span", ""))
    sums = numbers.sums(visit.account.pk, numbers.window(span, visit.zone, visit.now))
    waiting = look(visit.now)
    found = known(visit, is_behind=bool(waiting.worker_alarm))
    lines, n_lines = health(visit, found, sums)
    steps = first_steps(visit)
    context = {
        "title": "Overview",
        "spans": [(choice, visit.url("overview", span=choice.key)) for choice in numbers.SPANS],
        "span": span,
        "sums": sums,
        "figures": figures(visit, sums),
        "revenue": revenue(visit, sums),
        "charts": charts(sums),
        "health": lines,
        "n_health": n_lines,
        "needs": needs(visit, found, sums, waiting),
        "steps": steps,
        "n_done": sum(step.is_done for step in steps),
        "conversions_url": conversions_url(visit, sums),
    }
    return visit.render("pages/overview/overview.html", context)
