"""Owns the WSGI entry point: Django behind one body cap for the whole site."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trackly.settings")
application = get_wsgi_application()
