"""Owns the addresses of sending lists and of the credentials they send with."""

from django.urls import path

from trackly.pages.sending import changing, credentials, lists, numbers, one_list, trying

_ROW = "credentials/<int:credentials_id>/"
_LIST = "lists/<int:list_id>/"

urlpatterns = [
    path("lists/", lists.index, name="lists"),
    path("lists/new/", changing.choose, name="list_new"),
    path(_LIST, one_list.show, name="list"),
    path(f"{_LIST}edit/", one_list.edit, name="list_edit"),
    path(f"{_LIST}pause/", one_list.pause, name="list_pause"),
    path(f"{_LIST}resume/", one_list.resume, name="list_resume"),
    path(f"{_LIST}delete/", one_list.delete, name="list_delete"),
    path(f"{_LIST}test/", trying.send, name="list_test"),
    path("tests/<str:message>/", trying.show, name="test_message"),
    path("credentials/new/", changing.new, name="credentials_new"),
    path(_ROW, credentials.show, name="credentials"),
    path(f"{_ROW}numbers/", numbers.choose, name="credentials_numbers"),
    path(f"{_ROW}configure/", credentials.configure, name="credentials_configure"),
    path(f"{_ROW}check/", credentials.check, name="credentials_check"),
    path(f"{_ROW}examine/", credentials.examine, name="credentials_examine"),
    path(f"{_ROW}change/", changing.change, name="credentials_change"),
    path(f"{_ROW}withdraw/", changing.withdraw, name="credentials_withdraw"),
    path(f"{_ROW}rotate/", credentials.rotate, name="credentials_rotate"),
    path(f"{_ROW}proof/", changing.proof, name="credentials_proof"),
    path(f"{_ROW}retire/", changing.retire, name="credentials_retire"),
]
