"""The schema: valid, complete, and true of what is answered."""

import json
import os
import subprocess
import sys
from io import StringIO
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
import schemathesis
from django.core.management import call_command
from django.test import Client
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks

from tests import factories
from tests.api.conftest import Caller, caller
from trackly.api.conversions import CONVERSION
from trackly.api.schema import document
from trackly.api.urls import urlpatterns
from trackly.wsgi import application

SPEC: dict[str, Any] = json.loads(document())
OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method} {path}")
    for path, methods in SPEC["paths"].items()
    for method, operation in methods.items()
]


def test_the_schema_is_valid_and_made_without_a_warning() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO(), stderr=(said := StringIO()))
    assert said.getvalue() == ""


def test_every_address_stands_in_the_schema() -> None:
    names = {str(entry.pattern) for entry in urlpatterns if entry.name and entry.name not in ("api-schema", "api-docs")}
    plain = {
        name.replace("<slug:", "{").replace("<str:", "{").replace("<int:", "{").replace(">", "}") for name in names
    }
    assert {path.removeprefix("/api/v2/") for path in SPEC["paths"]} == plain


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_operation_is_described_whole(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert operation["security"] == [{"ApiKey": []}]
    assert {"401", "403", "405", "500", "503"} <= operation["responses"].keys()
    assert ("404" in operation["responses"]) >= ("{" in path)
    if method == "post":
        assert {"400", "413", "415"} <= operation["responses"].keys()
        assert all(body["examples"] for body in operation["requestBody"]["content"].values())
    for status, response in operation["responses"].items():
        (content,) = response["content"].values()
        assert content["examples"], status
        assert status < "400" or content["schema"]["$ref"].endswith("/ErrorBody")


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_example_is_true_of_its_schema(path: str, method: str, operation: dict[str, Any]) -> None:
    contents = [content for response in operation["responses"].values() for content in response["content"].values()]
    contents += list(operation.get("requestBody", {}).get("content", {}).values())
    for content in contents:
        for example in content["examples"].values():
            jsonschema.validate(example["value"], ROOT | plain_json_schema(content["schema"]))


def plain_json_schema(part: Any) -> Any:
    """OpenAPI 3.0's `nullable` said in JSON Schema."""
    if isinstance(part, list):
        return [plain_json_schema(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    made = {key: plain_json_schema(inner) for key, inner in part.items() if key != "nullable"}
    return {"anyOf": [made, {"type": "null"}]} if part.get("nullable") is True else made


ROOT = {"components": plain_json_schema(SPEC["components"])}


def test_the_schema_is_public_and_json() -> None:
    response = Client().get("/api/v2/schema")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/vnd.oai.openapi+json"
    assert json.loads(response.content)["openapi"].startswith("3.")
    assert Client().get("/api/v2/schema/").content == response.content


@pytest.mark.parametrize("path", ["/api/v2/schema", "/api/v2/docs"])
def test_they_are_only_read(path: str) -> None:
    assert Client().post(path).status_code == 405


def test_the_page_has_nothing_inline_and_repeats_nothing_unescaped() -> None:
    response = Client().get('/api/v2/docs/?lang="><script>alert(1)</script>')
    text = response.content.decode()
    assert response.status_code == 200
    assert "<style" not in text
    assert "style=" not in text
    assert text.count("<script src=") == text.count("<script") == 3
    assert "unsafe-inline" not in response.headers["Content-Security-Policy"]


load_all_checks()
CHECKS = [
    schemathesis.checks.CHECKS.get_one(name)
    for name in (
        "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
        "response_headers_conformance", "ignored_auth",
    )
]  # fmt: skip
schema = schemathesis.openapi.from_wsgi("/api/v2/schema", application)


@pytest.fixture
def us(transactional_db: None) -> Caller:
    """An account that has what the examples of the schema name."""
    us = caller(factories.AccountFactory())
    own = factories.SendingListFactory(provider_account__account=us.account, id=42, number="+18005550142")
    message = factories.MessageFactory(sending_list=own, public_id="a2B3c4D5", status="failed", reason="spam")
    factories.DeliveryEventFactory(message=message, reason="spam", error_code="1")
    offer = factories.OfferFactory(connection__account=us.account)
    factories.LinkFactory(offer=offer, message=message, code="Ab3kX9w")
    factories.ConversionFactory(
        account=us.account, request_uid=CONVERSION["id"], message=message, offer=offer, connection=offer.connection
    )
    factories.SubscriptionFactory(sending_list=own, contact__phone="+14155550101", contact__account=us.account)
    factories.SuppressionFactory(account=us.account, phone="+14155550101")
    return us


@pytest.mark.parametrize("path", ["send", "messages/import"])
def test_the_example_names_the_list_of_the_first_start(path: str) -> None:
    """Tried out on the page, it works: nobody knows the id of a list before it is made."""
    posted = SPEC["paths"][f"/api/v2/{path}"]["post"]
    assert "/lists" in posted["description"]
    for content in posted["requestBody"]["content"].values():
        for example in content["examples"].values():
            assert "+18005550142" in json.dumps(example["value"])


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_example_works_as_it_stands(us: Caller, path: str, method: str, operation: dict[str, Any]) -> None:
    """The example of the request is answered with success, and as the schema says; examples are what people copy."""
    for part in operation.get("parameters", []):
        if part["in"] == "path":
            path = path.replace(f"{{{part['name']}}}", quote(str(part["examples"]["Example"]["value"]), safe=""))
    bodies = [
        (kind, example["value"])
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
        for example in content["examples"].values()
    ] or [("application/json", None)]
    for kind, body in bodies:
        content = body.encode() if isinstance(body, str) else body
        response = us.ask(method.upper(), path.removeprefix("/api/v2/"), content, kind)
        assert response.status_code in (200, 201), response.content
        shape = operation["responses"][str(response.status_code)]["content"]["application/json"]["schema"]
        jsonschema.validate(json.loads(response.content), ROOT | plain_json_schema(shape))


@schema.parametrize()
@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_whatever_is_sent_the_answer_is_one_the_schema_names(case: Any, us: Caller) -> None:
    case.headers["X-Api-Key"] = us.key
    case.call_and_validate(checks=CHECKS)


def test_two_who_ask_first_at_once_both_get_it() -> None:
    """In a process of its own: what the generator loads is loaded once in each."""
    script = (
        "import django; django.setup()\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from trackly.api.schema import document\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    found = {future.result() for future in [pool.submit(document) for _ in range(8)]}\n"
        "print(len(found))\n"
    )
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "trackly.settings"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=False)
    assert done.stdout.strip() == "1", done.stderr[-2000:]
