"""Owns TUNE (HasOffers): what its partner postbacks say. Written from
https://support.tune.com/hc/en-us/articles/17974300453143-Conversion-URL-s-for-Partners (as of 2026-11-23).

Quirks:
- {transaction_id} is the id of the click session, not of the conversion: one may convert once per goal, so the goal is
  part of what tells conversions apart. {tune_event_id} is the conversion's own id and preferred where it is sent.
- {status} is not among the documented partner macros, so it may arrive as it stands; that counts as absent.
- Numeric macros without a value come as 0, which for a goal means the default one.
- {datetime} has a space and names no time zone; it is not read.
- TUNE asks that unique values go in aff_click_id (in aff_sub they slow its reports), so that is used for new links;
  {aff_sub}, as in the documented postback URL, stays accepted.
"""

from postbacks.networks.base import USUAL_ALIASES, USUAL_STATUSES, Network, Reported
from postbacks.parameters import report
from trackly.raw import RawRequest


class Tune(Network):
    name = "TUNE"
    docs = "https://support.tune.com/hc/en-us/articles/17974300453143-Conversion-URL-s-for-Partners"
    click_parameters = ("aff_click_id", "aff_sub")
    click_macro = "{aff_click_id}"
    payout_macro = "{payout}"
    template = "click_id={aff_click_id}&payout={payout}&txid={transaction_id}&goal_id={goal_id}&currency={currency}"
    aliases = {
        **USUAL_ALIASES,
        "click_id": (
            "click_id", "clickid", "cid", "subid", "aff_click_id", "aff_sub", "aff_sub2", "aff_sub3", "aff_sub4", "aff_sub5",
            "aff_unique1", "aff_unique2", "aff_unique3", "aff_unique4", "aff_unique5", "sub1",
        ),
        "transaction_id": ("tune_event_id", *USUAL_ALIASES["transaction_id"]),
        "event": ("goal_id", "goal", "event_id", "event"),
    }  # fmt: skip
    statuses = USUAL_STATUSES
    # The variables of its own screen for partners' conversion URLs; {status} is not among them.
    macros = {"offer_ref": "{offer_id}"}
    other_macros = {
        "click_id": (
            "{aff_sub}", "{aff_sub2}", "{aff_sub3}", "{aff_sub4}", "{aff_sub5}",
            "{aff_unique1}", "{aff_unique2}", "{aff_unique3}", "{aff_unique4}", "{aff_unique5}",
        ),
        "transaction_id": ("{tune_event_id}",),
        "offer_ref": ("{offer_ref}",),
    }  # fmt: skip
    known_macros = frozenset({
        "{offer_name}", "{offer_url_id}", "{offer_file_id}", "{file_name}", "{affiliate_id}", "{affiliate_name}",
        "{affiliate_ref}", "{source}", "{advertiser_id}", "{advertiser_ref}", "{adv_sub}", "{session_ip}", "{ip}", "{date}",
        "{time}", "{datetime}", "{ran}", "{sale_amount}", "{device_id}", "{android_id}", "{idfa}", "{mac_address}",
        "{mobile_carrier}", "{unid}", "{google_aid}", "{ios_ifa}",
    })  # fmt: skip
    # https://developers.tune.com/affiliate-models/offerpixel/ and the page named above
    console = (
        "In TUNE it is a partner's conversion URL of the type Postback: of one offer, or of all offers of the partner, and for"
        " one goal or all. Some networks approve it before it runs. A saved one cannot be changed: delete it and add the new"
        " URL."
    )
    # https://support.tune.com/hc/en-us/articles/1500008248801-Testing-Partner-Conversion-URLs
    tester = (
        "In TUNE: Partners, Conversion Pixels/URLs, Test. Its second step asks for the partner's own tracking link: paste the"
        " test link from here, not TUNE's link, or only TUNE is tested."
    )
    # https://support.tune.com/hc/en-us/articles/39344885855127-Why-are-some-postbacks-failing-to-be-sent-or-received
    alarms = {
        "postback not sent": (
            "TUNE fires nothing when the click session had expired before the conversion, so nothing can stand here. Compare"
            " the age of the click with the session lifespan of the offer."
        ),
        "postback failed": (
            "TUNE got no success from the URL it has. We answer 200 to whatever was stored; 503 only when nothing could be."
            " Anything else comes from a proxy or a wrong URL: paste the URL TUNE called into the search."
        ),
    }

    def parse(self, request: RawRequest) -> list[Reported]:
        return [report(request, self)]


adapter = Tune()
