"""Owns that no cache keeps a page of people: they show tokens, phone numbers and invitations."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

_PEOPLES = ("/a/", "/account/", "/invitation/")
View = Callable[[HttpRequest], HttpResponseBase]


def no_store(get_response: View) -> View:
    """Middleware: refusals, files and redirects under these addresses are kept as little as the pages."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.path_info.startswith(_PEOPLES):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return answer
