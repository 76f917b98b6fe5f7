"""Owns the addresses of messages, delivery events, replies and contacts."""

from django.urls import URLPattern, path

from trackly.pages.messages import closing, contact, contacts, events, message, messages, replies

urlpatterns: list[URLPattern] = [
    path("messages/", messages.index, name="messages"),
    path("messages/<str:message>/", message.show, name="message"),
    path("messages/<str:message>/opt-out/", message.opt_out, name="message_opt_out"),
    path("events/", events.index, name="events"),
    path("replies/", replies.index, name="replies"),
    path("contacts/", contacts.index, name="contacts"),
    path("contacts/close/", closing.close, name="contacts_close"),
    path("contacts/close/file/", closing.close_file, name="contacts_close_file"),
    path("contacts/<int:contact_id>/", contact.show, name="contact"),
    path("contacts/<int:contact_id>/opt-out/", contact.opt_out, name="contact_opt_out"),
    path("contacts/<int:contact_id>/opt-in/", contact.opt_in, name="contact_opt_in"),
    path("contacts/<int:contact_id>/suppress/", contact.suppress, name="contact_suppress"),
    path("contacts/<int:contact_id>/lift/", contact.lift, name="contact_lift"),
]
