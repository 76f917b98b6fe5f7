"""Owns the addresses of its pages."""

from django.urls import path

from trackly.pages.settings import account, history, keys, policies, rates, words

urlpatterns = [
    path("settings/", account.settings, name="settings"),
    path("settings/words/", words.words, name="words"),
    path("settings/rates/", rates.rates, name="rates"),
    path("settings/rates/<int:rate_id>/remove/", rates.remove, name="rate_remove"),
    path("settings/policies/", policies.policies, name="policies"),
    path("settings/keys/", keys.keys, name="keys"),
    path("settings/keys/<int:key_id>/revoke/", keys.revoke, name="key_revoke"),
    path("settings/history/", history.history, name="history"),
]
