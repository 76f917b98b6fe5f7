"""CM.com SMS: status reports as JSON, XML or a GET query, and replies as JSON; CM signs nothing. Sending is in sending.py.

From stored copies of https://developers.cm.com/messaging/docs/incoming-status-report and …/incoming-messages, not from live
traffic; the GET forms, the meaning of the codes and status 4 come from third-party code. Quirks: the content type says
nothing about the body, a report names only our reference, and `received` has no zone. A message cannot be asked for, and
callbacks are configured by hand, in CM's app only.
"""

from typing import Any
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

from trackly.calls import Dialogue
from trackly.payloads import last_of, looks_like_xml, read_json, read_pairs, read_xml
from trackly.raw import RawRequest
from webhooks.orders import Checked, Hook, Outcome, Sent, Step, StepState, Text
from webhooks.providers.base import (
    BadPayload,
    Config,
    Field,
    Provider,
    bounded,
    fields_of,
    text_of,
    time_of,
    unsigned,
)
from webhooks.providers.cm import sending
from webhooks.statuses import Item, Reason, Reply, Report, Status, Unreadable, fingerprint

# Inferred: no page names the zone of `received`; CM runs on Dutch time.
ZONE = ZoneInfo("Europe/Amsterdam")


class CM(Provider):
    name = "CM.com"
    docs = "https://developers.cm.com/messaging/docs/incoming-status-report"
    methods = ("POST", "GET")
    max_characters = sending.MAX_CHARACTERS
    config = (
        Field(
            name="product_token",
            label="Product token",
            secret=True,
            required=True,
            pattern=r"[0-9A-Za-z-]+",
            help="In CM's app under Channels, Gateway. Callbacks come without it; sending needs it.",
        ),
    )
    statuses = {
        "0": Status.SENT,
        "1": Status.REJECTED,
        "2": Status.DELIVERED,
        "3": Status.FAILED,
        "4": Status.READ,
    }
    errors = {
        "5": ("Not delivered, no detail", Reason.OTHER),
        "7": ("Recipient's credit too low, operator keeps trying", Reason.CREDIT),
        "8": ("Expired before delivery", Reason.EXPIRED),
        "20": ("Cannot be delivered in this form", Reason.OTHER),
        "21": ("Credit too low, will be tried again", Reason.CREDIT),
        "22": ("Credit too low, rejected", Reason.CREDIT),
        "23": ("Number invalid, blacklisted or barred", Reason.INVALID_NUMBER),
        "24": ("Absent subscriber", Reason.UNREACHABLE),
        "25": ("Trouble in the operator's network", Reason.UNREACHABLE),
        "26": ("Trouble with the phone", Reason.UNREACHABLE),
        "27": ("The handset cannot take it", Reason.OTHER),
        "28": ("Looks like spam", Reason.SPAM),
        "29": ("Content not allowed", Reason.BLOCKED),
        "30": ("Spend limit reached", Reason.CREDIT),
        "31": ("Recipient cannot be billed", Reason.CREDIT),
        "33": ("Parental lock", Reason.BLOCKED),
        "34": ("Age check failed", Reason.BLOCKED),
        "35": ("Age not checked yet", Reason.BLOCKED),
        "36": ("Error of the age check", Reason.OTHER),
        # A state register of numbers that take no paid SMS, not a word to this sender.
        "37": ("National blacklist", Reason.BLOCKED),
        "40": ("WhatsApp window closed", Reason.OTHER),
    }
    # https://developers.cm.com/messaging/docs/incoming-status-report and …/incoming-messages
    alarms = {
        "status report not accepted": (
            "CM got another answer than 200 and keeps the report; it comes again now and then, for up to seven days. CM signs"
            " nothing: a refusal is nearly always a URL without our token, or with an old one."
        ),
        "incoming message not accepted": (
            "CM got no 2xx and sends the reply again every five minutes, for up to a month. A STOP among them has no effect"
            " until then: look at what was refused, mend the URL, and replay."
        ),
    }
    verify = unsigned

    def parse(self, request: RawRequest) -> list[Item]:
        if request.method == "GET":
            return [self._item(0, _from_query(request.query))]
        if looks_like_xml(request.body):
            messages = [_from_xml(element) for element in bounded(_elements(request.body))]
        else:
            messages = bounded(_messages(read_json(request.body, dict[str, Any])))
        return [self._item(index, message) for index, message in enumerate(messages)]

    def _item(self, index: int, message: object) -> Item:
        try:
            fields = fields_of(message)
            return _reply(fields) if "message" in fields or "from" in fields else self._report(fields)
        except BadPayload as error:
            return Unreadable(index=index, cause=str(error))

    def _report(self, fields: dict[str, Any]) -> Report:
        status = fields_of(fields.get("status"))
        reference, to = text_of(fields.get("reference")), text_of(fields.get("to"))
        code, error = text_of(status.get("code")).strip(), text_of(status.get("errorCode")).strip()
        if not reference or not code:
            raise BadPayload("a report without a reference or without a status code")
        failed = error not in {"", "0"}
        meaning, reason = self.errors.get(error, ("", Reason.OTHER))
        return Report(
            message_key=reference,
            status=self.statuses.get(code, Status.UNKNOWN),
            vendor_status=code,
            vendor_code=code,
            at=time_of(text_of(fields.get("received")), ZONE),
            reason=reason if failed else None,
            error_code=error if failed else "",
            error_text=text_of(status.get("errorDescription")) or meaning,
            to=to,
            identity=(reference, to, code, error),
        )

    def send(self, text: Text, config: Config) -> Dialogue[Sent]:
        return sending.send(text, config)

    def check(self, config: Config) -> Dialogue[Checked]:
        return sending.check(config)

    def steps(self, config: Config, hook: Hook) -> tuple[Step, ...]:
        # The URL holds our token and is not repeated here: the page shows it to those who may see it.
        step = Step(key="callback", title="Paste the callback URL in CM's app", do=_paste, undo=_take_out, look=_paste)
        return (step,)


def _messages(body: dict[str, Any]) -> list[Any]:
    """The reports of messages.msg (an object, tolerated as a list), or the body itself as one reply; raises BadPayload."""
    if "message" in body or "from" in body:
        return [body]
    found = fields_of(body.get("messages")).get("msg")
    if found is None:
        raise BadPayload("neither messages.msg nor a message")
    return found if isinstance(found, list) else [found]


def _elements(body: bytes) -> list[Element]:
    """The MSG elements of <MESSAGES>; raises BadPayload."""
    root = read_xml(body)
    found = [child for child in root if _tag(child) == "msg"]
    if _tag(root) != "messages" or not found:
        raise BadPayload("XML without MESSAGES/MSG")
    return found


def _from_xml(element: Element) -> dict[str, Any]:
    """One MSG in the shape of the JSON report."""
    fields = _children(element)
    status = _children(fields["status"]) if "status" in fields else {}
    words = {name: (child.text or "").strip() for name, child in (fields | status).items()}
    attributes = {name.lower(): value for name, value in element.attrib.items()}
    return _shaped(attributes | words)


def _from_query(query: str) -> dict[str, Any]:
    """The query of either GET template in the shape of the JSON report; raises BadPayload."""
    words = last_of((name.lower(), value.strip()) for name, value in read_pairs(query))
    if not words.keys() & {"reference", "statuscode", "status"}:
        raise BadPayload("a query without reference and status")
    return _shaped(words)


def _shaped(words: dict[str, str]) -> dict[str, Any]:
    """Lower-case names of the XML and of both GET templates (plain words, or CM's macro names) as the JSON report."""

    def first(*names: str) -> str:
        return next((words[name] for name in names if words.get(name)), "")

    return {
        "received": first("received", "created_s", "datetime_s"),
        "to": first("to", "gsm", "recipient"),
        "reference": first("reference"),
        "status": {
            "code": first("code", "statuscode", "status"),
            "errorCode": first("errorcode"),
            "errorDescription": first("errordescription", "standarderrortext"),
        },
    }


def _reply(fields: dict[str, Any]) -> Reply:
    message = fields.get("message")
    text = text_of(message if isinstance(message, str) else fields_of(message).get("text"))
    sender, recipient = _number(fields.get("from")), _number(fields.get("to"))
    at = text_of(fields.get("timeUtc"))
    if not sender:
        raise BadPayload("a reply without the person's number")
    return Reply(
        # CM gives a reply no id.
        key=fingerprint((sender, recipient, at, text)).hex(),
        sender=sender,
        recipient=recipient,
        text=text,
        at=time_of(at),
        reference=text_of(fields.get("reference")),
    )


def _number(party: object) -> str:
    """The number of {"number", "name"}, which older gateways send as a plain text."""
    return text_of(party.get("number") if isinstance(party, dict) else party)


def _children(element: Element) -> dict[str, Element]:
    return {_tag(child): child for child in element}


def _tag(element: Element) -> str:
    """The element's name in lower case, without its namespace."""
    return element.tag.rpartition("}")[2].lower()


def _paste() -> Dialogue[Outcome]:
    yield from ()
    return Outcome(
        state=StepState.BY_HAND,
        said="CM cannot be told by API where its callbacks go, nor asked where they go now.",
        fix="Press 'Reveal what is masked', then copy the callback URL. In CM's app, in the settings of your gateway (Channels,"
        " Gateway), paste it in two places: as the URL for status reports and as the URL for incoming messages (MO); choose"
        " POST and JSON. Or ask CM's support to. With the first callback this turns to configured by itself.",
    )


def _take_out() -> Dialogue[Outcome]:
    yield from ()
    return Outcome(
        state=StepState.BY_HAND,
        said="What was pasted in CM's app is still there: CM has no API to take it out.",
        fix="In CM's app, remove the callback URL from status reports and from incoming messages (MO). Until then CM calls it,"
        " is refused, and tries again: reports for seven days, replies for a month.",
    )


adapter = CM()
