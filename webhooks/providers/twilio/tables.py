"""Owns Twilio's words and what each means here: statuses, error codes with what a person can do, its debugger's alarms."""

from webhooks.statuses import Reason, Status

STATUSES = {
    "accepted": Status.ACCEPTED,
    "scheduled": Status.ACCEPTED,
    "queued": Status.QUEUED,
    "sending": Status.SENDING,
    "sent": Status.SENT,
    # Some parts arrived: more than sent is not proven, and a final word may follow.
    "partially_delivered": Status.SENT,
    "delivered": Status.DELIVERED,
    "undelivered": Status.UNDELIVERED,
    "failed": Status.FAILED,
    "canceled": Status.CANCELED,
    "read": Status.READ,
}
# Twilio's titles (https://www.twilio.com/docs/api/errors), our reasons.
ERRORS = {
    "14107": ("SMS send rate limit exceeded", Reason.THROTTLED),
    "20003": ("Permission denied", Reason.OTHER),
    "20008": ("Not accessible with test credentials", Reason.OTHER),
    "20404": ("Not found", Reason.OTHER),
    "20429": ("Too many requests", Reason.THROTTLED),
    "21211": ("Invalid 'To' phone number", Reason.INVALID_NUMBER),
    "21212": ("Invalid 'From' number", Reason.OTHER),
    "21408": ("Sending to the region of the 'To' number is not enabled", Reason.BLOCKED),
    "21601": ("Phone number is not an SMS-capable inbound number", Reason.OTHER),
    "21602": ("Message body is required", Reason.OTHER),
    "21603": ("A 'From' or 'MessagingServiceSid' is required", Reason.OTHER),
    "21604": ("A 'To' number is required", Reason.OTHER),
    "21606": ("'From' is not a message-capable Twilio number for this destination", Reason.OTHER),
    "21607": ("'From' must be the sandbox number for trial accounts", Reason.OTHER),
    "21608": ("'To' number is not yet verified for this trial account", Reason.OTHER),
    "21609": ("Invalid 'StatusCallback'", Reason.OTHER),
    "21610": ("Attempt to send to unsubscribed recipient", Reason.OPT_OUT),
    "21611": ("'From' number exceeded its maximum of queued messages", Reason.THROTTLED),
    "21612": ("'To' number is not currently reachable via SMS", Reason.INVALID_NUMBER),
    "21614": ("'To' number is not a valid mobile number", Reason.INVALID_NUMBER),
    "21617": ("The message is longer than 1600 characters", Reason.OTHER),
    "21618": ("The message body cannot be sent", Reason.OTHER),
    "21659": ("'From' is not a Twilio number or short code", Reason.OTHER),
    "21660": ("'From' number belongs to another account", Reason.OTHER),
    "21701": ("The Messaging Service does not exist", Reason.OTHER),
    "21702": ("The Messaging Service is not available to send messages", Reason.OTHER),
    "21703": ("The Messaging Service has no number available to send", Reason.OTHER),
    "21704": ("The Messaging Service contains no phone numbers", Reason.OTHER),
    "21705": ("The Messaging Service is invalid", Reason.OTHER),
    "21711": ("The sender is not in this Messaging Service", Reason.OTHER),
    "21712": ("The sender is in another Messaging Service", Reason.OTHER),
    "30001": ("Queue overflow", Reason.THROTTLED),
    "30002": ("Account suspended", Reason.OTHER),
    "30003": ("Unreachable destination handset", Reason.UNREACHABLE),
    "30004": ("Message blocked", Reason.BLOCKED),
    "30005": ("Unknown destination handset", Reason.INVALID_NUMBER),
    "30006": ("Landline or unreachable carrier", Reason.INVALID_NUMBER),
    "30007": ("Message filtered", Reason.SPAM),
    "30008": ("Unknown error", Reason.OTHER),
    "30009": ("Missing inbound segment", Reason.OTHER),
    "30010": ("Message price exceeds max price", Reason.OTHER),
    "30011": ("MMS not supported by the receiving number in this region", Reason.OTHER),
    "30012": ("TTL is too small", Reason.OTHER),
    "30013": ("TTL is too big", Reason.OTHER),
    "30014": ("'To' attributes are invalid", Reason.OTHER),
    "30015": ("Non-supported channel type is used", Reason.OTHER),
    "30016": ("'To' and 'From' channel types are incompatible", Reason.OTHER),
    "30017": ("Carrier network congestion", Reason.UNREACHABLE),
    "30018": ("Destination carrier requires sender ID pre-registration", Reason.REGISTRATION),
    "30019": ("Content size exceeds carrier limit", Reason.OTHER),
    "30020": ("Internal failure with message scheduling", Reason.OTHER),
    "30021": ("Internal failure with messaging service orchestrator", Reason.OTHER),
    "30022": ("US A2P 10DLC: rate limits exceeded", Reason.THROTTLED),
    "30023": ("US A2P 10DLC: daily message cap reached", Reason.THROTTLED),
    "30024": ("Numeric sender ID not provisioned on carrier", Reason.REGISTRATION),
    "30025": ("US A2P 10DLC: 50% of T-Mobile daily limit consumed", Reason.OTHER),
    "30026": ("US A2P 10DLC: 70% of T-Mobile daily limit consumed", Reason.OTHER),
    "30027": ("US A2P 10DLC: T-Mobile daily limit reached", Reason.THROTTLED),
    "30032": ("Toll-free number has not been verified", Reason.REGISTRATION),
    "30034": ("US A2P 10DLC: message from an unregistered number", Reason.REGISTRATION),
    "30409": ("This message cannot be canceled", Reason.OTHER),
    "30410": ("Provider timeout error", Reason.UNREACHABLE),
    "63018": ("Rate limit exceeded for channel", Reason.THROTTLED),
}
_SENDER = "Choose a number of this Twilio account for the list: 'check the credentials' shows them."
_SERVICE = "In Twilio's console, under Messaging > Services, see that the service exists and has senders."
# What a person can do about a code; where nothing stands, its page at Twilio is named.
ADVICE = {
    "20404": "Compare the Account SID.",
    "21211": "Correct the number of the contact.",
    "21212": _SENDER,
    "21408": "In Twilio's console, under Messaging > Settings > Geo permissions, enable the country.",
    "21601": _SENDER,
    "21602": "Write a text.",
    "21606": _SENDER,
    "21608": "A trial account sends to verified numbers only: verify it in Twilio's console, or upgrade the account.",
    "21609": "PUBLIC_BASE_URL must be an address the world can reach: a real host name without an underscore.",
    "21610": "They opted out at Twilio, and only they can undo it, by texting START.",
    "21612": "Twilio has no route from this sender to this number: try another sender.",
    "21614": "It is a landline or no number at all: take it off the list.",
    "21617": "Shorten the text.",
    "21659": _SENDER,
    "21660": _SENDER,
    "21701": _SERVICE,
    "21702": _SERVICE,
    "21703": _SERVICE,
    "21704": _SERVICE,
    "21705": _SERVICE,
    "21711": "Add the list's number to the Messaging Service's sender pool, in Twilio's console.",
    "21712": "Name the Messaging Service that has the list's number, or move the number, in Twilio's console.",
}
# Not taken for now, whatever the HTTP status says.
BUSY = frozenset({"14107", "20429", "21611", "63018"})
# Of its debugger; the codes are those of https://www.twilio.com/docs/api/errors, the answers ours.
ALARMS = {
    # https://www.twilio.com/docs/api/errors/11200
    "11200": (
        "Twilio asked us and got no 2xx in time; it does not know more. If we refused the request (403, 404), it stands in"
        " the failed log with its cause. If we answered 503, only /metrics knows. If neither, it never reached us: look at"
        " the proxy, the firewall and the certificate. Twilio does not repeat what got a 4xx or 5xx, unless the URL it was"
        " given ends in #rp=all."
    ),
    "11205": (
        "No connection to us could be opened, or it broke. Nothing of it can stand here: look at the address, the port and"
        " the firewall in front of us. Twilio tries such a request once more."
    ),
    # https://www.twilio.com/docs/api/errors/11206
    "11206": "What answered was no proper HTTP: http spoken to an https port, or a proxy that cut the exchange short.",
    "11210": "The host in the URL Twilio was given does not resolve: compare it with PUBLIC_BASE_URL, then look at the DNS.",
    "11215": "We never redirect; something in front of us does. Give Twilio the https URL as its page here shows it.",
    # https://www.twilio.com/docs/api/errors/11217
    "11217": (
        "We answered with an error. 403 or 404: it stands in the failed log with its cause, most often an auth token that"
        " was changed at Twilio and not here. 503: the database was away, and only /metrics knows. 502 and 504 are never"
        " ours but the proxy's."
    ),
    "11220": "No TLS connection came about: the proxy in front of us offers no protocol or cipher that Twilio accepts.",
    "11235": "The certificate shown to Twilio is for another host than the one in the URL.",
    "11236": "The certificate shown to Twilio has expired.",
    "11237": "Twilio cannot follow our certificate to a root it trusts: serve the intermediate certificates with it.",
    # https://www.twilio.com/docs/api/errors/11321
    "11321": "The URL set for incoming messages is not valid, so nothing was sent: copy it anew from the account's page.",
    "12100": "What answered was not the empty TwiML that we send: the URL leads to another server, or a proxy put in a page.",
    # https://www.twilio.com/docs/api/errors/12300
    "12300": "We answer in text/xml. Another type comes from another server: compare the URL, and look for a proxy's page.",
}
