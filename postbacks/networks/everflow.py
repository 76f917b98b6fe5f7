"""Owns Everflow: what its partner postbacks say. Written from
https://helpdesk.everflow.io/collaborator/managing-postbacks-as-a-partner (as of 2026-11-23).

Quirks:
- Macro names are case-sensitive: a wrong one ({Sub1}, {sub_1}) is sent as it stands, a right one without a value is
  sent empty.
- The documented `payout={revenue}` stays accepted, but revenue is what the network earns: {payout_amount} is the
  partner's money, and is what the template writes.
- {transaction_id} is Everflow's click id. Its base conversion (event_id 0) and every later event share it, so the event
  is part of what tells conversions apart.
- A global and a specific postback both fire for one conversion, and an errored one is retried up to 25 times: repeats
  are normal.
- An update through Everflow's API may fire the postback again, with another amount or state.
- {sale_amount} is the buyer's price and never the payout.
"""

from postbacks.networks.base import USUAL_ALIASES, USUAL_STATUSES, Network, Reported
from postbacks.parameters import report
from postbacks.verdicts import ConversionStatus
from trackly.raw import RawRequest


class Everflow(Network):
    name = "Everflow"
    docs = "https://helpdesk.everflow.io/collaborator/managing-postbacks-as-a-partner"
    click_parameters = ("sub1",)
    click_macro = "{sub1}"
    payout_macro = "{payout_amount}"
    template = (
        "click_id={sub1}&payout={payout_amount}&txid={transaction_id}&event_id={event_id}&event_name={event_name}"
        "&currency={offer_currency}"
    )
    aliases = {
        **USUAL_ALIASES,
        "click_id": ("click_id", "clickid", "cid", "subid", "sub1", "sub2", "sub3", "sub4", "sub5", "aff_sub"),
        "payout": ("payout", "payout_amount", "revenue", "amount", "sum"),
        "currency": ("currency", "offer_currency"),
        "event": ("event_id", "event", "goal_id", "goal"),
        "offer_ref": ("offer_id", "oid", "offer"),
    }
    # "invalid" is one of Everflow's four states; its refunds and chargebacks reject the conversion they name.
    statuses = {
        **USUAL_STATUSES,
        "invalid": ConversionStatus.REJECTED,
        "refund": ConversionStatus.REJECTED,
        "chargeback": ConversionStatus.REJECTED,
        "reversed": ConversionStatus.REJECTED,
    }

    macros = {"offer_ref": "{offer_id}"}
    # {payout} stands in the page named above, {revenue} in
    # https://developers.everflow.io/api-reference/post-affiliatespixels
    other_macros = {
        "click_id": ("{sub2}", "{sub3}", "{sub4}", "{sub5}"),
        "payout": ("{payout}", "{revenue}"),
    }
    # https://helpdesk.everflow.io/en/articles/6173403-a-guide-to-parameters-and-macros
    known_macros = frozenset({
        "{source_id}", "{sale_amount}", "{revenue_amount}", "{affiliate_id}", "{affiliate_name}", "{offer_name}",
    })  # fmt: skip
    console = (
        "In Everflow it is a partner postback, delivered by GET: a global one covers all offers, a specific one an offer. Both"
        " fire for the same conversion, which does no harm here: the repeat is not counted twice. An event has a postback of"
        " its own."
    )
    # https://helpdesk.everflow.io/en/articles/3974779-testing-partner-postbacks
    tester = (
        "Everflow's test of partner postbacks fires the global and the specific postback, and for an event the base"
        " conversion as well: several hits for one test are right."
    )

    # The page named above (as of 2026-03-13), and the older
    # https://helpdesk.everflow.io/en/articles/4057176-partner-portal-managing-postbacks
    alarms = {
        "errored postback": (
            "Everflow got an error from us, or no answer; its postback report shows under Debug Info which. We answer 200 to"
            " whatever was stored, counted or not. Errors of ours are 503 (not stored, the database was away: it comes again)"
            " and, only without a valid token and beyond the quota, 403 or 429. 502 and 504 are the proxy's, 404 a wrong URL."
        ),
        "deactivated postback": (
            "After failures in a row (ten within 72 hours; by its older pages 25 in all) Everflow switches a postback off, and"
            " then nothing comes at all. Mend the cause, have the network's manager or the affiliate switch it on again, and"
            " ask for the conversions in between to be fired once more: repeats are not counted twice."
        ),
    }

    def parse(self, request: RawRequest) -> list[Reported]:
        return [report(request, self)]


adapter = Everflow()
