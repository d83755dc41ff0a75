"""The nouns of what may be said."""

from __future__ import annotations

from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator, URLValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from notify_platform.core.clock import zone_of
from notify_platform.core.encrypted import EncryptedTextField


def validate_time_zone(value: str) -> None:
    """Refuse a name the tz database does not know."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValidationError(
            _("“%(value)s” is not a time zone, e.g. Asia/Shanghai."), params={"value": value}
        ) from error


def validate_open_address(value: str) -> None:
    """Refuse an address with a login in it: it is shown at the desk and told in the audit trail."""
    if _has_login(value):
        raise ValidationError(_("Leave the user name and password out: everybody at the desk can read this address."))


def validate_open_proxy(value: str) -> None:
    """Refuse a proxy with a login in it, and say where one belongs."""
    if _has_login(value):
        raise ValidationError(
            _("Leave the user name and password out. A proxy that needs them belongs in HTTPS_PROXY on the server.")
        )


def _has_login(address: str) -> bool:
    try:
        return "@" in urlsplit(address).netloc
    except ValueError:
        # No address at all, which the other validator says.
        return False


class MiniProgram(models.Model):
    """One app id: its credentials, callback keys, pace and house rules."""

    class State(models.TextChoices):
        """Which version of the mini-program a card opens (``miniprogram_state``)."""

        FORMAL = "formal", _("Released version")
        TRIAL = "trial", _("Trial version")
        DEVELOPER = "developer", _("Development version")

    class Lang(models.TextChoices):
        """The language of the card's own line, not of our words (``lang``)."""

        ZH_CN = "zh_CN", _("Simplified Chinese")
        EN_US = "en_US", _("English")
        ZH_HK = "zh_HK", _("Traditional Chinese (Hong Kong)")
        ZH_TW = "zh_TW", _("Traditional Chinese (Taiwan)")

    name = models.CharField(_("name"), max_length=60)
    app_id = models.CharField(
        _("app id"),
        max_length=32,
        unique=True,
        validators=[RegexValidator(r"^wx[0-9a-zA-Z]{16}$", _("An app id is “wx” and 16 letters or digits."))],
    )
    original_id = models.CharField(
        _("original id"), max_length=32, blank=True, help_text=_("gh_…, as shown in WeChat's console.")
    )
    app_secret = EncryptedTextField(_("app secret"), blank=True)
    callback_token = EncryptedTextField(_("callback token"), blank=True)
    callback_aes_key = EncryptedTextField(
        _("callback EncodingAESKey"), blank=True, help_text=_("43 characters; empty in plain-text mode.")
    )
    previous_callback_token = EncryptedTextField(
        _("previous callback token"), blank=True, help_text=_("Still accepted while you change keys.")
    )
    previous_callback_aes_key = EncryptedTextField(_("previous EncodingAESKey"), blank=True)
    forward_url = models.CharField(
        _("forward other events to"),
        max_length=300,
        blank=True,
        validators=[URLValidator(schemes=["http", "https"]), validate_open_address],
    )
    proxy_url = models.CharField(
        _("proxy"),
        max_length=300,
        blank=True,
        validators=[URLValidator(schemes=["http", "https"]), validate_open_proxy],
    )
    miniprogram_state = models.CharField(_("cards open"), max_length=12, choices=State, default=State.FORMAL)
    lang = models.CharField(_("card language"), max_length=8, choices=Lang, default=Lang.ZH_CN)
    pace_per_second = models.PositiveSmallIntegerField(
        _("pace (messages per second)"),
        default=50,
        validators=[MinValueValidator(1), MaxValueValidator(2000)],
        help_text=_("Shared by all workers and hosts. WeChat publishes no limit; 50 is careful."),
    )
    # The default is WeChat's published figure (docs: subscription messages, limits); its day's end is unstated.
    daily_budget = models.PositiveIntegerField(
        _("messages a day"),
        default=10_000_000,
        validators=[MinValueValidator(1)],
        help_text=_(
            "WeChat publishes 10,000,000 a day, 30,000,000 with payment opened, and not when its day ends: here it "
            "ends at midnight in Beijing, as everybody assumes. What is left over then goes on by itself."
        ),
    )
    time_zone = models.CharField(
        _("time zone"), max_length=40, default="Asia/Shanghai", validators=[validate_time_zone]
    )
    quiet_from = models.TimeField(
        _("quiet from"),
        null=True,
        blank=True,
        help_text=_("No card leaves in these hours, in the person's own time zone."),
    )
    quiet_until = models.TimeField(_("quiet until"), null=True, blank=True)
    cap_per_day = models.PositiveSmallIntegerField(
        _("cards per person in 24 hours"), null=True, blank=True, help_text=_("Empty: no cap.")
    )
    cap_per_week = models.PositiveSmallIntegerField(
        _("cards per person in 7 days"), null=True, blank=True, help_text=_("Empty: no cap.")
    )
    approval_threshold = models.PositiveIntegerField(
        _("approval needed above"),
        default=100,
        help_text=_("A job that may reach more people than this needs a second person. 0: always."),
    )
    unknown_after_minutes = models.PositiveSmallIntegerField(
        _("close unknown results after (minutes)"),
        default=10,
        help_text=_("With no word from WeChat by then, the message counts as sent and its consent as spent."),
    )
    client_unconfirmed_limit = models.PositiveSmallIntegerField(
        _("unconfirmed consents per template"),
        default=5,
        help_text=_("How many consents the phone alone may report before WeChat's own event must confirm them."),
    )
    reject_revokes = models.BooleanField(
        _("a refused popup voids the stock"),
        default=False,
        help_text=_("WeChat does not say what a refusal does to consents given before. Off: they are kept."),
    )
    most_templates = models.PositiveSmallIntegerField(
        _("templates in one popup"),
        default=3,
        validators=[MinValueValidator(1), MaxValueValidator(5)],
        help_text=_("WeChat allows 5 today and 3 in older versions: 3 fit every phone."),
    )
    asks_per_day = models.PositiveSmallIntegerField(
        _("popups per person in 24 hours"), null=True, blank=True, default=5, help_text=_("Empty: no cap.")
    )
    asks_per_week = models.PositiveSmallIntegerField(
        _("popups per person in 7 days"), null=True, blank=True, default=15, help_text=_("Empty: no cap.")
    )
    cool_down_days = models.PositiveSmallIntegerField(
        _("do not ask again after a refusal for (days)"),
        default=7,
        help_text=_("Doubled with each refusal in a row, eight times at the most."),
    )
    ban_witnesses = models.PositiveSmallIntegerField(
        _("phones that make a ban"),
        default=1,
        validators=[MinValueValidator(1)],
        help_text=_(
            "So many different people's phones must report WeChat's ban before we believe it for everybody. "
            "1 stops at once, also for a forged report; a refused message always counts."
        ),
    )
    # WeChat has taken the right to ask and to send from the whole mini-program; ``jobs.bans`` is the only writer.
    banned_at = models.DateTimeField(_("banned by WeChat"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("mini-program")
        verbose_name_plural = _("mini-programs")
        constraints = [
            models.CheckConstraint(condition=Q(pace_per_second__gte=1), name="mini_program_pace_at_least_one"),
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="mini_program_quiet_hours_have_both_ends",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        """Return the time zone it is at home in."""
        return zone_of(self.time_zone)


class AccessToken(models.Model):
    """WeChat's access token of one mini-program; ``wechat.tokens`` is the only writer."""

    mini_program = models.OneToOneField(
        MiniProgram, on_delete=models.CASCADE, related_name="access_token", verbose_name=_("mini-program")
    )
    token = EncryptedTextField(_("token"), blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True)
    fetched_at = models.DateTimeField(_("fetched"), null=True)
    # Single flight: who holds the lease fetches, the others wait for the row to change.
    lease_until = models.DateTimeField(_("being fetched until"), null=True)
    lease_holder = models.UUIDField(_("being fetched by"), null=True)

    class Meta:
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")

    def __str__(self) -> str:
        return f"{self.mini_program_id}"


class MessageTemplate(models.Model):
    """One private template (我的模板): strict words that may be sent with a person's consent."""

    class Kind(models.TextChoices):
        """How consent works. WeChat's ``type`` is 2 for one-time and 3 for long-term (WeChat's docs, gettemplate)."""

        ONE_TIME = "one_time", _("one-time")
        LONG_TERM = "long_term", _("long-term")
        LONG_TERM_CAPPED = "long_term_capped", _("long-term, capped")
        SERVICE_CARD = "service_card", _("service card")

    class State(models.TextChoices):
        """Whether WeChat still takes messages with it."""

        LIVE = "live", _("in use")
        MISSING = "missing", _("gone at WeChat")
        BANNED = "banned", _("banned by WeChat")

    COUNTED_KINDS = frozenset({Kind.ONE_TIME})
    SENDABLE_KINDS = frozenset({Kind.ONE_TIME, Kind.LONG_TERM, Kind.LONG_TERM_CAPPED})

    mini_program = models.ForeignKey(
        MiniProgram, on_delete=models.PROTECT, related_name="templates", verbose_name=_("mini-program")
    )
    # 43 characters today; one official sample has 42, so length is never a reason to refuse.
    wechat_id = models.CharField(_("template id"), max_length=64)
    title = models.CharField(_("title"), max_length=60)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind, default=Kind.ONE_TIME)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.LIVE)
    content = models.TextField(_("content"), blank=True)
    example = models.TextField(_("example"), blank=True)
    validity_days = models.PositiveSmallIntegerField(
        _("consent is valid for (days)"),
        null=True,
        blank=True,
        default=7,
        validators=[MinValueValidator(1)],
        help_text=_(
            "WeChat's own text sets no limit on a one-time consent; "
            "the operating guide asks to use it within 7 days. Empty: no limit."
        ),
    )
    # What the ends of consents were last reckoned with, and how far a new reckoning has come (a grant's key).
    validity_applied = models.PositiveSmallIntegerField(null=True, default=7, editable=False)
    validity_applied_upto = models.BigIntegerField(default=0, editable=False)
    worth = models.PositiveSmallIntegerField(
        _("worth"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(10)],
        help_text=_("From 1 to 10: what a message is worth to the person; the planner asks for the worthiest first."),
    )
    urgent = models.BooleanField(
        _("urgent"),
        default=False,
        help_text=_("Passes the app's and the template's quiet hours, never a person's own wishes."),
    )
    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True)
    quiet_until = models.TimeField(_("quiet until"), null=True, blank=True)
    synced_at = models.DateTimeField(_("last seen at WeChat"), null=True, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("template")
        verbose_name_plural = _("templates")
        ordering = ["mini_program", "title"]
        constraints = [
            models.UniqueConstraint(fields=["mini_program", "wechat_id"], name="template_once_per_mini_program"),
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="template_quiet_hours_have_both_ends",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_counted(self) -> bool:
        """Whether each message uses up one unit of consent."""
        return self.kind in self.COUNTED_KINDS


class TemplateChange(models.Model):
    """What WeChat had changed about a template when its list was read; ``catalog`` is the only writer.

    ``before`` and ``after`` are lists of keywords, each ``{"key", "label", "example", "choices"}``.
    """

    template = models.ForeignKey(
        MessageTemplate, on_delete=models.CASCADE, related_name="changes", verbose_name=_("template")
    )
    at = models.DateTimeField(_("seen"))
    title_before = models.CharField(_("title before"), max_length=60)
    before = models.JSONField(_("keywords before"), default=list)
    after = models.JSONField(_("keywords after"), default=list)
    # Whether words written for the old template may not fit the new one.
    breaks_words = models.BooleanField(_("jobs have to be looked at"), default=False)

    class Meta:
        verbose_name = _("change at WeChat")
        verbose_name_plural = _("changes at WeChat")
        # The changes of one template, newest first; what one reading of the list has found.
        indexes = [models.Index(fields=["template", "-at"], name="template_changes")]

    def __str__(self) -> str:
        return f"{self.template_id} {self.at:%Y-%m-%d %H:%M}"


class TemplateField(models.Model):
    """One keyword (关键词) of a template, in the order of the card."""

    template = models.ForeignKey(
        MessageTemplate, on_delete=models.CASCADE, related_name="fields", verbose_name=_("template")
    )
    position = models.PositiveSmallIntegerField(_("position"))
    key = models.CharField(_("key"), max_length=40, help_text=_("Type and number, e.g. thing1."))
    label = models.CharField(_("label"), max_length=60)
    example = models.CharField(_("example"), max_length=200, blank=True)
    choices = models.JSONField(_("allowed values"), default=list, blank=True)
    strict = models.BooleanField(
        _("check before sending"), default=True, help_text=_("Off: a broken rule is only a warning and WeChat decides.")
    )

    class Meta:
        verbose_name = _("template field")
        verbose_name_plural = _("template fields")
        ordering = ["template", "position"]
        constraints = [models.UniqueConstraint(fields=["template", "key"], name="field_key_once_per_template")]

    def __str__(self) -> str:
        return f"{self.label} ({self.key})"
