"""Every setting, in one file; the environment is read here and nowhere else. ``.env.example`` lists the variables."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import environ
from django.utils.translation import gettext_lazy as _

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"
VAR_DIR.mkdir(exist_ok=True)

env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

# --- the process ---------------------------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", default=False)
# Empty is refused by Django at first use and by `manage.py check` in words; a default would be a public secret.
SECRET_KEY = env.str("SECRET_KEY", default="")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
PUBLIC_URL = env.str("PUBLIC_URL", default="http://127.0.0.1:8000").rstrip("/")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
PROXIES_IN_FRONT = env.int("PROXIES_IN_FRONT", default=0)
# Behind a proxy that ends TLS; it must set, and never pass on, X-Forwarded-Proto.
if PROXIES_IN_FRONT and SESSION_COOKIE_SECURE:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=0)
WSGI_APPLICATION = "notify_platform.wsgi.application"
ROOT_URLCONF = "notify_platform.urls"

# --- secrets at rest -----------------------------------------------------------------------------------------------

# Fernet keys, newest first: the first encrypts, all decrypt.
CREDENTIALS_KEYS = env.list("CREDENTIALS_KEYS", default=[])

# --- the database --------------------------------------------------------------------------------------------------

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'notify_platform.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a transaction that reads and then writes must not find out at the write that it lost (ADR 3).
    # FULL: a claim has to survive a power cut, or a message could leave twice.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    # So often is a statement of ``core.prepared`` asked before PostgreSQL keeps its plan.
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("prepare_threshold", 3)
DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}
else:
    # In each process for itself. The API counts its callers here: Django's 300 entries would forget them at once.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 20_000},
        }
    }

# --- WeChat --------------------------------------------------------------------------------------------------------

WECHAT_API_BASE_URL = env.str("WECHAT_API_BASE_URL", default="https://api.weixin.qq.com").rstrip("/")

# Connections of one worker for one mini-program's messages. Twenty is what WeChat's users found to be safe; a pace of
# P a second at L seconds an answer needs P × L of them, shared by the workers.
SEND_CONCURRENCY = env.int("SEND_CONCURRENCY", default=20)

# --- the rooms -----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "notify_platform.console",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "notify_platform.core",
    "templates_app",
    "subscriptions",
    "notify_platform.alerts",
    "notify_platform.jobs",
    "notify_platform.delivery",
    "notify_platform.mirror",
    "notify_platform.callbacks",
    "notify_platform.api",
    "notify_platform.insights",
    "notify_platform.simulator",
]
MIDDLEWARE = [
    "notify_platform.console.request_ids.request_ids",
    "django.middleware.security.SecurityMiddleware",
    "notify_platform.console.headers.content_security_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "notify_platform.console.second_step.SecondStepGate",
    "notify_platform.console.doors.own_password_noted",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Wrong passwords lock the pair of account and address for a while, never the account for everybody: a stranger could
# shut the owner out.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=env.int("LOGIN_LOCK_MINUTES", default=15))
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "notify_platform.console.doors.client_address"
AXES_LOCKOUT_CALLABLE = "notify_platform.console.doors.locked_out"
# Our own pages and our own audit trail show what it counts.
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False
# A code of the phone after the password: off, optional (for whoever sets it up) or required.
DESK_TOTP = env.str("DESK_TOTP", default="off")
OTP_TOTP_ISSUER = "notify_platform"

# --- the API -------------------------------------------------------------------------------------------------------

# What is not said by an endpoint itself is closed: no authentication, nobody allowed, JSON only, no browsable pages.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    # Each person; for sessions and documents each address, and thousands of phones may share one.
    "DEFAULT_THROTTLE_RATES": {
        "sessions": "600/min",
        "sessions_by_key": "3000/min",
        "prompts": "60/min",
        "authorizations": "60/min",
        "subscriptions": "60/min",
        "wechat_settings": "60/min",
        "preferences": "60/min",
        "profile": "60/min",
        "opens": "60/min",
        "visits": "60/min",
        "conversions": "60/min",
        "feedback": "60/min",
        # Each key.
        "events": "6000/min",
        "deliveries": "6000/min",
        "subscribers": "600/min",
        "consents": "600/min",
        "documents": "60/min",
    },
    "EXCEPTION_HANDLER": "notify_platform.api.errors.envelope",
    "URL_FORMAT_OVERRIDE": None,
    # None in front: X-Forwarded-For is whatever the caller writes there.
    "NUM_PROXIES": PROXIES_IN_FRONT,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "notify_platform",
    "DESCRIPTION": (
        "Consent and messages of WeChat mini-programs. Every error has the shape of `Problem`; its sentence is in the "
        "language of `Accept-Language`, zh-hans or en. Unknown fields of a request are ignored. A client without "
        "PATCH, like wx.request, sends a POST with the header `X-HTTP-Method-Override: PATCH`."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    # What may be left out says so itself.
    "COMPONENT_SPLIT_PATCH": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "BalanceState": "notify_platform.api.shapes.BALANCE_STATES",
        "TemplateKind": "notify_platform.api.shapes.TEMPLATE_KINDS",
        "FeedbackKind": "notify_platform.api.person_shapes.FEEDBACK_KINDS",
        "DeliveryState": "notify_platform.api.back_end_shapes.DELIVERY_STATES",
    },
}

# --- what people leave behind --------------------------------------------------------------------------------------

# Rooms above delivery that keep something of a person, by dotted name: imports only go down (ADR 11).
FORGETTING = ["notify_platform.callbacks.keeping.forget"]
# The rules of such rooms for how long something is kept, likewise.
RETENTION = ["notify_platform.callbacks.keeping.RETENTION", "notify_platform.console.doors.RETENTION"]

# --- whom a job can be sent to -------------------------------------------------------------------------------------

# Criteria of audiences that need what lies above subscriptions, by dotted name.
AUDIENCE_CRITERIA = {
    "opened_jobs": "notify_platform.delivery.criteria.OPENED",
    "not_opened_jobs": "notify_platform.delivery.criteria.NOT_OPENED",
}
# An uploaded list: a file that is larger, or holds more lines, is refused.
LIST_MAX_MEGABYTES = env.int("LIST_MAX_MEGABYTES", default=64)
LIST_MAX_ROWS = env.int("LIST_MAX_ROWS", default=1_000_000)

# An export of more rows is refused.
EXPORT_MAX_ROWS = env.int("EXPORT_MAX_ROWS", default=1_000_000)

# --- background work -----------------------------------------------------------------------------------------------

# A task is a doorbell: short, idempotent, carrying ids. `retry` counts from the moment a task is fetched, so it has to
# cover every task that waits in memory before it; failures are final here because our own rows know what is left.
WORKERS = env.int("WORKERS", default=2)
Q_CLUSTER = {
    "name": "notify_platform",
    "orm": "default",
    "workers": WORKERS,
    "queue_limit": WORKERS,
    "bulk": 1,
    "poll": 0.2,
    "timeout": 60,
    "retry": 360,
    "max_attempts": 3,
    "ack_failures": True,
    "save_limit": 200,
    "catch_up": False,
    "scheduler": False,
    "ALT_CLUSTERS": {},
}

# --- language and time ---------------------------------------------------------------------------------------------

LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="zh-hans")
LANGUAGES = [("zh-hans", _("Simplified Chinese")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "notify_platform" / "locale"]
FORMAT_MODULE_PATH = ["notify_platform.formats"]
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="Asia/Shanghai")

# --- static files --------------------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
# Without a collected copy (demo, development, tests) the files are served from where they lie.
WHITENOISE_USE_FINDERS = True

# --- the desk ------------------------------------------------------------------------------------------------------

# A green that white text can be read on.
_PRIMARY = {
    "50": "oklch(97.9% .021 166.113)",
    "100": "oklch(95% .052 163.051)",
    "200": "oklch(90.5% .093 164.15)",
    "300": "oklch(84.5% .143 164.978)",
    "400": "oklch(76.5% .177 163.223)",
    "500": "oklch(69.6% .17 162.48)",
    "600": "oklch(50.8% .118 165.612)",
    "700": "oklch(43.2% .095 166.913)",
    "800": "oklch(37.8% .077 168.94)",
    "900": "oklch(31% .06 170)",
    "950": "oklch(26.2% .051 172.552)",
}
UNFOLD = {
    "SITE_TITLE": _("Subscription messages"),
    "SITE_HEADER": _("Subscription messages"),
    "SITE_SYMBOL": "notifications_active",
    "SITE_URL": None,
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "COLORS": {"primary": _PRIMARY},
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "notify_platform.console.desk.sidebar.favicon"}],
    "ACCOUNT": {"navigation": "notify_platform.console.desk.second_step.account_links"},
    "STYLES": [
        "notify_platform.console.desk.sidebar.account_stylesheet",
        "notify_platform.console.desk.sidebar.record_stylesheet",
        "notify_platform.console.desk.sidebar.stylesheet",
        "notify_platform.console.desk.lists.stylesheet",
        "notify_platform.console.desk.lists.audience_styles",
    ],
    "SIDEBAR": {"navigation": "notify_platform.console.desk.sidebar.navigation"},
    "LOGIN": {"form": "notify_platform.console.desk.login.LoginForm"},
    "DASHBOARD_CALLBACK": "notify_platform.console.desk.front.dashboard",
}

# --- metrics -------------------------------------------------------------------------------------------------------

# The bearer token of /metrics; empty: the page does not exist.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# --- logs: codes and ids, never a secret, a token or a whole openid ------------------------------------------------

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOG_FORMAT = env.str("LOG_FORMAT", default="text")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"()": "notify_platform.core.logs.TextFormatter"},
        "json": {"()": "notify_platform.core.logs.JsonFormatter"},
    },
    # One way out for everything, so that nothing goes past the formatter.
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "notify_platform": {"level": LOG_LEVEL},
        "subscriptions": {"level": LOG_LEVEL},
        "templates_app": {"level": LOG_LEVEL},
        "django-q": {"level": "WARNING"},
        # Without the handlers of its own: a terminal in DEBUG, letters to nobody else.
        "django": {"level": "WARNING"},
        # What strangers ask for in vain stands in the web server's log.
        "django.request": {"level": "ERROR"},
    },
}
