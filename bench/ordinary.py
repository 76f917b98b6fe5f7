"""Owns what the measurements are compared with: the same work written the ordinary way, a request and a report at a time."""

import http.client
import json
from datetime import UTC, datetime
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import F
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from sendinglists.models import Message, ProviderAccount
from trackly.models import HourlyTotal
from trackly.signing import new_uid, token_hash
from trackly.totals import hour_of
from webhooks.inbound.models import DeliveryEvent, InboundRequest, Source, State, time_of
from webhooks.statuses import fingerprint


class OrdinaryView(APIView):
    """Token looked up, JSON parsed by DRF, the row made by the ORM, 200."""

    authentication_classes = []
    permission_classes = []

    def post(self, request: Request, slug: str, token: str) -> Response:
        party = ProviderAccount.objects.select_related("account").get(callback_token_hash=token_hash(token))
        results = request.data["results"]
        uid = new_uid(int(datetime.now(UTC).timestamp() * 1000))
        InboundRequest.objects.create(
            uid=uid,
            received_at=time_of(uid),
            due_at=time_of(uid),
            source=Source.WEBHOOK,
            slug=slug,
            account=party.account,
            party_id=party.id,
            proof="token",
            method="POST",
            host=request.get_host().encode(),
            path=request.path.encode(),
            query=b"",
            headers="".join(f"{name}: {value}\r\n" for name, value in request.headers.items()).encode(),
            body=json.dumps(request.data).encode(),
            peer=request.META["REMOTE_ADDR"],
            answer_status=200,
            answer=b'{"status":"accepted"}',
            ids=[value for result in results for value in (result["messageId"], result["to"])],
            items=len(results),
            state=State.WAITING,
        )
        return Response({"status": "accepted"})


def send(ids: list[int], provider: str, callback_url: str) -> None:
    """Hand these messages over one after the other, on a connection that is kept open."""
    parts = urlsplit(provider)
    link = http.client.HTTPConnection(parts.netloc)
    for message in Message.objects.filter(id__in=ids).select_related("sending_list").order_by("id"):
        body = {
            "sender": message.sending_list.number.lstrip("+"),
            "destinations": [{"to": message.to.lstrip("+"), "messageId": message.reference}],
            "content": {"text": message.body},
            "webhooks": {"delivery": {"url": callback_url}},
        }
        link.request("POST", "/sms/3/messages", json.dumps({"messages": [body]}))
        (answer,) = json.loads(link.getresponse().read())["messages"]
        message.provider_message_id = answer["messageId"]
        message.status, message.sent_at = "accepted", datetime.now(UTC)
        message.save()
    link.close()


def apply(limit: int) -> int:
    """Work off so many requests one by one; how many reports that were."""
    n = 0
    for row in InboundRequest.objects.filter(state=State.WAITING).order_by("due_at")[:limit]:
        with transaction.atomic():
            for result in json.loads(bytes(row.body))["results"]:
                _apply(row, result)
                n += 1
            # By its key: save() would look through every partition, and that is not what is compared.
            done = InboundRequest.objects.by_uid(row.uid)
            done.update(state=State.DONE, attempts=1, processed_at=datetime.now(UTC))
    return n


def _apply(row: InboundRequest, result: dict) -> None:
    message = Message.objects.select_for_update().get(reference=result["messageId"])
    at = datetime.fromisoformat(result["doneAt"])
    _, is_new = DeliveryEvent.objects.get_or_create(
        message=message,
        fingerprint=fingerprint((result["messageId"], result["doneAt"], str(result["status"]["id"]))),
        defaults={
            "account_id": message.account_id,
            "status": "delivered",
            "vendor_status": result["status"]["name"],
            "at": at,
            "received_at": row.received_at,
            "request_uid": row.uid,
        },
    )
    if not is_new:
        return
    message.status, message.status_at, message.status_detail = "delivered", at, result["status"]["name"]
    message.save()
    for kind, hour in (("report", row.received_at), ("message_delivered", message.created_at)):
        place = {"account_id": message.account_id, "hour": hour_of(hour), "kind": kind, "list_id": 0}
        total, _ = HourlyTotal.objects.get_or_create(**place, connection_id=0, currency="")
        HourlyTotal.objects.filter(id=total.id).update(n=F("n") + 1)
