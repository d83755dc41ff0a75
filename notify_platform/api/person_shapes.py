"""What a phone says of its person beside consent: settings, wishes, and what came of a card."""

from __future__ import annotations

import re
from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from notify_platform.api.reading import Amount, Clock, Flag, Line, Lines, Matching, Moment, Text
from notify_platform.api.shapes import BALANCE_STATES, REQUEST_ID, TEMPLATE_ID, TEMPLATE_KINDS, WORD
from notify_platform.delivery.models import Feedback
from templates_app.models import validate_time_zone

MOST_TEMPLATES: Final = 100
GOAL: Final = r"\A[A-Za-z0-9_.-]{1,60}\Z"
FEEDBACK_KINDS: Final = Feedback.Kind.values
_WORD: Final = re.compile(WORD)


@extend_schema_field({"type": "object", "additionalProperties": {}, "maxProperties": MOST_TEMPLATES})
class ItemSettings(serializers.Field[dict[str, str], Any, Any, Any]):
    """WeChat's map as it came: template id → the answer it repeats. What is no template or no word is left out."""

    default_error_messages = {"invalid": _("Send WeChat's itemSettings as they came.")}

    def to_internal_value(self, data: Any) -> dict[str, str]:
        """Refuse what is no map, or a map that is too large."""
        if not isinstance(data, dict) or len(data) > MOST_TEMPLATES:
            self.fail("invalid")
        return {key: word for key, word in data.items() if TEMPLATE_ID.fullmatch(key) and _is_word(word)}


class WechatSettings(serializers.Serializer[Any]):
    """``subscriptionsSetting`` of wx.getSetting({withSubscriptions: true}) as it came."""

    mainSwitch = Flag()  # noqa: N815 - WeChat's own name
    itemSettings = ItemSettings(required=False, allow_null=True)  # noqa: N815 - WeChat's own name


class KeptAnswer(serializers.Serializer[Any]):
    """An answer WeChat repeats without asking."""

    template_id = Text()
    answer = Text()


class WechatSettingsReply(serializers.Serializer[Any]):
    """What was noted."""

    main_switch = serializers.BooleanField()
    always_keep = KeptAnswer(many=True)


class QuietHours(serializers.Serializer[Any]):
    """``from`` after ``until`` runs over midnight."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return both ends; ``from`` is no name in Python."""
        return {"from": Clock(), "until": Clock()}


class PreferencesRequest(serializers.Serializer[Any]):
    """What changes; what is left out stays as it is, null clears."""

    muted = serializers.ListField(
        child=Matching(rf"\A{TEMPLATE_ID.pattern}\Z"),
        max_length=MOST_TEMPLATES,
        required=False,
        help_text="All muted templates, not only the new ones.",
    )
    quiet_hours = QuietHours(required=False, allow_null=True)
    paused_until = Moment(required=False, allow_null=True, help_text="In the future, within a year.")


class TemplateWish(serializers.Serializer[Any]):
    """A template the person had to do with; ``state`` is none where there never was a yes or a no that counts."""

    template_id = Text()
    title = Text()
    kind = serializers.ChoiceField(TEMPLATE_KINDS)
    state = serializers.ChoiceField(BALANCE_STATES)
    muted = serializers.BooleanField()


class PreferencesReply(serializers.Serializer[Any]):
    """What the person wishes; the hours are in ``time_zone``."""

    muted = serializers.ListField(child=Text())
    quiet_hours = QuietHours(allow_null=True)
    paused_until = Moment(allow_null=True)
    time_zone = Text()
    templates = TemplateWish(many=True)


class ProfileRequest(serializers.Serializer[Any]):
    """What the person tells of themselves; what is left out stays as it is, an empty text clears."""

    nickname = Line(max_length=64, allow_blank=True, required=False)
    region = Line(max_length=40, allow_blank=True, required=False)
    city = Line(max_length=40, allow_blank=True, required=False)
    time_zone = Line(
        max_length=40,
        allow_blank=True,
        required=False,
        validators=[validate_time_zone],
        help_text="A name of the tz database, like Asia/Shanghai; empty: the mini-program's.",
    )
    interests = Lines(required=False)


class ProfileReply(serializers.Serializer[Any]):
    """The same five, all of them."""

    nickname = Text()
    region = Text()
    city = Text()
    time_zone = Text()
    interests = serializers.ListField(child=Text())


class ConversionRequest(serializers.Serializer[Any]):
    """A goal, what it was worth, and the key of the card that led there."""

    nk = Text(max_length=64, required=False, allow_null=True)
    goal = Matching(GOAL, help_text="Your own word for it, like order or booking.")
    value = Amount(
        required=False,
        allow_null=True,
        help_text="At least 0. A number is rounded to two decimals; a text has to have at most two.",
    )
    client_request_id = Matching(
        REQUEST_ID, required=False, allow_null=True, help_text="The same in each repetition: it counts once."
    )


class ConversionReply(serializers.Serializer[Any]):
    """Whether it counts as the doing of a card of the person's own."""

    attributed = serializers.BooleanField()


class FeedbackRequest(serializers.Serializer[Any]):
    """What the person thinks of a card of their own."""

    nk = Text(max_length=64)
    kind = serializers.ChoiceField(FEEDBACK_KINDS)
    text = Text(max_length=500, required=False, allow_blank=True, allow_null=True)


class FeedbackReply(serializers.Serializer[Any]):
    """What was noted."""

    kind = serializers.ChoiceField(FEEDBACK_KINDS)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None
