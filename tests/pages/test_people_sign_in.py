"""Signing in: by name and e-mail, the limit of attempts, the second factor, forgotten passwords, sign-up."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core import mail
from django.core.cache import caches
from django.db import connection
from django.test import Client

from tests import factories
from trackly.models import Account, Membership
from trackly.pages.people.mail import settle

pytestmark = pytest.mark.django_db
PASSWORD, NEW = "correct horse", "battery staple 9"
LOGIN = "/account/login/"
WRONG = "The name or the password is wrong."


@pytest.fixture(autouse=True)
def _nobody_tried_before(db: None) -> Iterator[None]:
    caches["default"].clear()
    yield
    caches["default"].clear()


@pytest.fixture
def ada() -> Any:
    return factories.MembershipFactory(user=factories.UserFactory(username="ada", email="ada@example.com")).user


@pytest.fixture
def with_mail(settings: Any) -> None:
    settings.HAS_MAIL = True
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.ACCOUNT_EMAIL_NOTIFICATIONS = True
    settings.MFA_ALLOW_UNVERIFIED_EMAIL = False


def sign_in(client: Client, login: str, password: str = PASSWORD, **extra: Any) -> Any:
    return client.post(LOGIN, {"login": login, "password": password}, **extra)


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def outbox() -> list[Any]:
    settle()
    return list(mail.outbox)


@pytest.mark.parametrize("login", ["ada", "ADA", "ada@example.com", "Ada@Example.com"])
def test_the_name_and_the_address_both_open(ada: Any, client: Client, login: str) -> None:
    assert sign_in(client, login)["Location"] == "/"
    assert is_in(client)


@pytest.mark.parametrize("login", ["ada", "ada@example.com", "nobody", "nobody@example.com"])
def test_a_wrong_password_says_the_same_for_whom_we_know_and_whom_not(ada: Any, client: Client, login: str) -> None:
    answer = sign_in(client, login, "wrong")
    assert WRONG in answer.text
    assert not is_in(client)


def test_after_the_sign_in_one_is_where_one_wanted_to_be(ada: Any, client: Client) -> None:
    account = Account.objects.get()
    answer = client.post(f"{LOGIN}?next=/a/{account.public_id}/", {"login": "ada", "password": PASSWORD})
    assert answer["Location"] == f"/a/{account.public_id}/"


def test_no_address_of_somebody_else_is_led_to(ada: Any, client: Client) -> None:
    answer = client.post(f"{LOGIN}?next=https://evil.example.org/", {"login": "ada", "password": PASSWORD})
    assert answer["Location"] == "/"


# --- the limit of attempts


def test_five_wrong_passwords_close_the_name_even_for_the_right_one(ada: Any, client: Client) -> None:
    for _ in range(5):
        assert WRONG in sign_in(client, "ada", "wrong").text
    assert "Too many attempts" in sign_in(client, "ada").text
    assert not is_in(client)


def test_the_limit_does_not_tell_a_known_name_from_an_unknown_one(client: Client) -> None:
    for _ in range(5):
        sign_in(client, "nobody", "wrong")
    assert "Too many attempts" in sign_in(client, "nobody", "wrong").text


def test_naming_another_port_in_the_host_opens_no_new_attempts(ada: Any, client: Client) -> None:
    for port in range(5):
        sign_in(client, "ada", "wrong", headers={"Host": f"localhost:{8000 + port}"})
    assert "Too many attempts" in sign_in(client, "ada", headers={"Host": "localhost:9999"}).text


def test_attempts_are_counted_in_the_database_where_every_process_sees_them(ada: Any, client: Client) -> None:
    for _ in range(5):
        sign_in(client, "ada", "wrong")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM trackly_cache WHERE cache_key LIKE %s", ["%login\\_failed%"])
        assert cursor.fetchone()[0] >= 2


def test_the_address_counted_is_the_one_the_proxy_saw(ada: Any, client: Client, settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    # Ten failures in a minute close an address, whatever names were tried.
    for n in range(10):
        sign_in(client, f"nobody{n}", "wrong", headers={"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.7"})
    shut = sign_in(client, "ada", headers={"X-Forwarded-For": "203.0.113.7"})
    assert "Too many attempts" in shut.text
    assert sign_in(client, "ada", headers={"X-Forwarded-For": "203.0.113.8"}).status_code == 302


# --- the second factor


def code_of(secret: str, ahead: int = 0) -> str:
    # The code of the step before is taken until this step ends: not to be typed at its very end.
    if ahead < 0 and (passed := time.time() % 30) > 25:
        time.sleep(30 - passed)
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + ahead))


def set_up(client: Client) -> str:
    """Two-factor sign-in switched on as a person does it; its secret."""
    asked = client.get("/account/2fa/totp/activate/")
    assert asked["Location"].startswith("/account/reauthenticate/")
    client.post(asked["Location"], {"password": PASSWORD})
    page = client.get("/account/2fa/totp/activate/")
    assert "data:image/svg+xml;base64," in page.text
    found = re.search(r"\b[A-Z2-7]{32}\b", page.text)
    assert found
    done = client.post("/account/2fa/totp/activate/", {"code": code_of(found[0], -1)})
    assert done["Location"] == "/account/2fa/recovery-codes/"
    return found[0]


def recovery_codes(client: Client) -> list[str]:
    return re.findall(r"<li>(\d{8})</li>", client.get("/account/2fa/recovery-codes/").text)


def test_the_code_of_the_app_is_asked_for_and_opens_once(ada: Any, client: Client) -> None:
    sign_in(client, "ada")
    secret = set_up(client)
    client.post("/account/logout/")
    assert sign_in(client, "ada")["Location"].startswith("/account/2fa/authenticate/")
    assert not is_in(client)
    assert "The code is wrong" in client.post("/account/2fa/authenticate/", {"code": "000000"}).text
    code = code_of(secret)
    assert client.post("/account/2fa/authenticate/", {"code": code})["Location"] == "/"
    assert is_in(client)
    other = Client()
    sign_in(other, "ada")
    assert "The code is wrong or was used before" in other.post("/account/2fa/authenticate/", {"code": code}).text


def test_a_used_code_stays_used_as_long_as_it_would_open(ada: Any, client: Client) -> None:
    sign_in(client, "ada")
    secret = set_up(client)
    code = code_of(secret)
    for other, opens in ((Client(), True), (Client(), False)):
        # What the library itself remembers is gone after half a minute.
        caches["default"].delete(f"allauth.mfa.totp.used?user={ada.pk}&code={code}")
        sign_in(other, "ada")
        other.post("/account/2fa/authenticate/", {"code": code})
        assert is_in(other) is opens


def test_a_recovery_code_opens_once(ada: Any, client: Client) -> None:
    sign_in(client, "ada")
    set_up(client)
    codes = recovery_codes(client)
    assert len(codes) == 10
    for other, opens in ((Client(), True), (Client(), False)):
        sign_in(other, "ada")
        other.post("/account/2fa/authenticate/", {"code": codes[0]})
        assert is_in(other) is opens


def test_the_secret_of_the_app_is_ciphertext_in_the_database(ada: Any, client: Client) -> None:
    sign_in(client, "ada")
    secret = set_up(client)
    for row in Authenticator.objects.all():
        assert secret not in str(row.data)
        assert str(row.data.get("secret", row.data.get("seed"))).startswith("gAAAA")


def test_switching_it_off_needs_a_fresh_proof(ada: Any, client: Client) -> None:
    sign_in(client, "ada")
    set_up(client)
    other = Client()
    other.force_login(ada)
    asked = other.post("/account/2fa/totp/deactivate/")
    assert asked["Location"].startswith("/account/reauthenticate/")
    assert Authenticator.objects.filter(type="totp").exists()


def test_the_admin_is_behind_the_same_second_step(client: Client) -> None:
    staff = factories.StaffFactory(username="sue")
    client.force_login(staff)
    secret = set_up(client)
    other = Client()
    there = other.get("/admin/", follow=True)
    assert there.redirect_chain[-1][0].startswith("/account/login/?next=")
    other.post(there.redirect_chain[-1][0], {"login": "sue", "password": PASSWORD})
    assert other.get("/admin/").status_code == 302
    assert other.post("/admin/login/", {"username": "sue", "password": PASSWORD}).status_code == 302
    assert not is_in(other)
    assert other.post("/account/2fa/authenticate/", {"code": code_of(secret)})["Location"] == "/admin/"
    assert other.get("/admin/").status_code == 200


def test_who_is_not_staff_is_told_so_at_the_admin(ada: Any, client: Client) -> None:
    client.force_login(ada)
    answer = client.get("/admin/login/")
    assert answer.status_code == 403
    assert "who is not staff" in answer.text


def test_signing_out_of_the_admin_lands_at_the_sign_in(client: Client) -> None:
    client.force_login(factories.StaffFactory())
    assert client.get("/admin/logout/").status_code == 405
    assert client.post("/admin/logout/")["Location"] == LOGIN
    assert not is_in(client)


# --- passwords


def test_a_new_password_ends_the_other_sessions_and_not_this_one(ada: Any, client: Client) -> None:
    other = Client()
    for window in (client, other):
        sign_in(window, "ada")
    client.post("/account/password/change/", {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW})
    assert client.get("/account/password/change/").status_code == 200
    assert other.get("/account/password/change/")["Location"].startswith(LOGIN)


@pytest.mark.parametrize("short", ["1234567", "ada"])
def test_a_password_of_fewer_than_eight_characters_is_refused(ada: Any, client: Client, short: str) -> None:
    sign_in(client, "ada")
    answer = client.post("/account/password/change/", {"oldpassword": PASSWORD, "password1": short, "password2": short})
    assert "at least 8 characters" in answer.text


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
def test_without_mail_the_reset_promises_none_and_tells_nothing(ada: Any, client: Client, email: str) -> None:
    for answer in (client.get("/account/password/reset/"), client.post("/account/password/reset/", {"email": email})):
        assert "This service sends no mail" in answer.text
        assert "manage.py changepassword NAME" in answer.text
        assert email not in answer.text
    assert outbox() == []


def test_a_forgotten_password_is_reset_by_mail_once(ada: Any, client: Client, with_mail: None) -> None:
    EmailAddress.objects.create(user=ada, email=ada.email, primary=True, verified=True)
    other = Client()
    sign_in(other, "ada")
    client.post("/account/password/reset/", {"email": "ada@example.com"})
    (letter,) = outbox()
    assert letter.subject == "[Trackly] Choose a new password"
    assert letter.from_email.endswith("@hooks.example.com>")
    (link,) = re.findall(r"https?://\S+", letter.body)
    path = link.removeprefix("https://hooks.example.com")
    form = client.get(path)["Location"]
    done = client.post(form, {"password1": NEW, "password2": NEW}, follow=True)
    assert "The password is changed" in done.text
    assert other.get("/account/password/change/")["Location"].startswith(LOGIN)
    assert sign_in(Client(), "ada", NEW)["Location"] == "/"
    assert "opens nothing" in Client().get(path, follow=True).text


def test_the_reset_says_the_same_for_an_address_that_nobody_has(ada: Any, with_mail: None) -> None:
    said = []
    for email in ("ada@example.com", "nobody@example.com"):
        answer = Client().post("/account/password/reset/", {"email": email}, follow=True)
        said.append((answer.status_code, re.sub(r"csrf\S+ value=\S+|<input[^>]*csrf[^>]*>", "", answer.text)))
    assert said[0] == said[1]
    assert [letter.to for letter in outbox()] == [["ada@example.com"]]


def test_a_mail_server_that_is_away_tells_nothing_either(ada: Any, with_mail: None, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    answer = Client().post("/account/password/reset/", {"email": "ada@example.com"})
    assert answer["Location"] == "/account/password/reset/done/"
    assert outbox() == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "testserver"])
def test_the_link_leads_to_us_whatever_host_the_request_named(ada: Any, with_mail: None, host: str) -> None:
    Client().post("/account/password/reset/", {"email": "ada@example.com"}, headers={"Host": host})
    (letter,) = outbox()
    assert re.findall(r"https?://([^/\s]+)", letter.body) == ["hooks.example.com"]
    assert host not in letter.body
    assert host not in letter.subject


def test_a_link_of_a_mail_is_masked_in_the_log(ada: Any, with_mail: None, caplog: pytest.LogCaptureFixture) -> None:
    from trackly.redaction import mask

    Client().post("/account/password/reset/", {"email": "ada@example.com"})
    (letter,) = outbox()
    (path,) = re.findall(r"/account/password/reset/key/\S+", letter.body)
    assert mask(path) == "/account/password/reset/key/***/"
    assert mask("/account/confirm-email/MQ:1wAbCd:x-Y_z/") == "/account/confirm-email/***/"


# --- sign-up

ASKED = {"username": "bob", "email": "bob@example.com", "password1": NEW, "password2": NEW}


def test_sign_up_is_closed_and_says_whom_to_ask(client: Client) -> None:
    for answer in (client.get("/account/signup/"), client.post("/account/signup/", ASKED)):
        assert "Ask an owner of the account to invite you" in answer.text
    assert not is_in(client)


def test_where_sign_up_is_open_somebody_makes_a_user_and_an_account(client: Client, settings: Any) -> None:
    settings.SIGNUP_OPEN = True
    assert client.post("/account/signup/", ASKED)["Location"] == "/"
    assert "Your first account" in client.get("/").text
    bad = client.post("/", {"name": "Bob's", "currency": "XXX", "time_zone": "Europe/Berlin"})
    assert "Select a valid choice" in bad.text or "Not the code of a currency" in bad.text
    made = client.post("/", {"name": "Bob's", "currency": "EUR", "time_zone": "Europe/Berlin"})
    membership = Membership.objects.select_related("account").get(user__username="bob")
    assert made["Location"] == f"/a/{membership.account.public_id}/"
    assert (membership.role, membership.account.currency) == ("owner", "EUR")
    assert client.post("/", {"name": "2", "currency": "EUR", "time_zone": "UTC"})["Location"] == made["Location"]
    assert Account.objects.count() == 1


def test_where_sign_up_is_closed_nobody_makes_an_account(client: Client) -> None:
    client.force_login(factories.UserFactory())
    client.post("/", {"name": "Mine", "currency": "EUR", "time_zone": "UTC"})
    assert not Account.objects.exists()


def test_where_there_is_mail_an_address_is_proved_before_anything_else(with_mail: None, settings: Any) -> None:
    settings.SIGNUP_OPEN = True
    client = Client()
    assert client.post("/account/signup/", ASKED)["Location"] == "/account/confirm-email/"
    assert not is_in(client)
    sign_in(client, "bob", NEW)
    assert not is_in(client)
    (letter,) = outbox()
    (path,) = re.findall(r"https://hooks\.example\.com(/account/confirm-email/\S+)", letter.body)
    client.post(path)
    assert sign_in(client, "bob", NEW)["Location"] == "/"


def test_whom_an_operator_made_without_an_address_comes_in_all_the_same(with_mail: None, client: Client) -> None:
    factories.UserFactory(username="owner")
    assert sign_in(client, "owner")["Location"] == "/"


def test_with_mail_the_sign_up_does_not_tell_who_has_a_user(ada: Any, with_mail: None, settings: Any) -> None:
    settings.SIGNUP_OPEN = True
    EmailAddress.objects.create(user=ada, email=ada.email, primary=True, verified=True)
    answer = Client().post("/account/signup/", ASKED | {"email": "ada@example.com"})
    assert answer["Location"] == "/account/confirm-email/"
    (letter,) = outbox()
    assert letter.subject == "[Trackly] You have a user already"
    assert "https://hooks.example.com/account/password/reset/" in letter.body


@pytest.mark.parametrize("path", ["phone/change/", "login/code/", "signup/passkey/", "2fa/webauthn/"])
def test_ways_in_that_are_not_offered_are_not_there(client: Client, path: str) -> None:
    assert client.get(f"/account/{path}").status_code == 404
