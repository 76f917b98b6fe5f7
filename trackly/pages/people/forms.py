"""Owns the forms of signing in and of who belongs to an account."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import LoginForm
from allauth.account.models import EmailAddress
from allauth.account.utils import filter_users_by_email
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import password_validators_help_texts, validate_password
from django.core.cache import cache

from trackly.models import Membership
from trackly.pages.forms import Form

# A code opens for the half minute it is shown and the ones before and after it.
_CODE_LIVES_S = 90


class SignInForm(LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        login = self.fields["login"]
        login.label = "User name or e-mail address"
        login.widget.attrs |= {"autocomplete": "username", "autocapitalize": "none", "autofocus": True}
        self.fields["remember"].label = "Stay signed in on this device for two weeks"


class _OnceForm(forms.Form):
    """A code opens once: the library forgets a used one after half a minute, which is earlier than it ends."""

    user: Any

    def clean_code(self) -> str:
        code: str = super().clean_code()  # type: ignore[misc]
        if not cache.add(f"code:{self.user.pk}:{code}", 1, timeout=_CODE_LIVES_S):
            raise get_adapter().validation_error("incorrect_code")
        return code


class CodeForm(_OnceForm, AuthenticateForm):
    pass


class CodeAgainForm(_OnceForm, ReauthenticateForm):
    pass


class InviteForm(Form):
    email = forms.EmailField(label="E-mail address")
    role = forms.ChoiceField(
        choices=Membership.Role.choices,
        initial=Membership.Role.MEMBER,
        help_text="Owners also see to people, keys and settings. Members send and change. Viewers only look.",
    )

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Membership.Role.choices)


class NewPersonForm(Form):
    """A user for whoever was invited and has none."""

    username = forms.CharField(label="User name", max_length=150)
    email = forms.EmailField(label="E-mail address")
    password1 = forms.CharField(label="Password", strip=False, widget=forms.PasswordInput)
    password2 = forms.CharField(label="The same password again", strip=False, widget=forms.PasswordInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget.attrs |= {"autocomplete": "username", "autocapitalize": "none"}
        self.fields["email"].widget.attrs["autocomplete"] = "email"
        self.fields["password1"].help_text = " ".join(password_validators_help_texts())
        for name in ("password1", "password2"):
            self.fields[name].widget.attrs["autocomplete"] = "new-password"

    def clean_username(self) -> str:
        return str(get_adapter().clean_username(self.cleaned_data["username"]))

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"]).lower()
        if filter_users_by_email(email):
            raise forms.ValidationError(
                "Somebody has a user with this e-mail address already. If it is you, sign in instead."
            )
        return email

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        first, second = given.get("password1"), given.get("password2")
        if first and second and first != second:
            self.add_error("password2", "The two passwords differ.")
        elif first:
            try:
                validate_password(first, User(username=given.get("username", ""), email=given.get("email", "")))
            except forms.ValidationError as error:
                self.add_error("password1", error)
        return given

    def save(self) -> User:
        given = self.cleaned_data
        user = get_user_model().objects.create_user(given["username"], given["email"], given["password1"])
        EmailAddress.objects.create(user=user, email=given["email"], primary=True)
        return user
