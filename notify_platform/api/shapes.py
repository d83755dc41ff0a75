"""What comes in and what goes out: one input and one output shape for each address.

Unknown fields of an input are ignored, so that an older installation takes what a newer client sends.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from notify_platform.api.reading import Matching, Moment, Text, Whole
from notify_platform.delivery.responses import Deed
from subscriptions.grants.models import Subscription
from templates_app.models import MessageTemplate

# WeChat's docs, wx.requestSubscribeMessage: the result map holds these beside the template ids.
NO_TEMPLATES: Final = frozenset({"errMsg", "errCode"})
MOST_RESULTS: Final = 5
OLDEST_ANSWER: Final = timedelta(days=7)
OPENID: Final = r"\A[A-Za-z0-9_-]{10,64}\Z"
SCENE: Final = r"\A[A-Za-z0-9_-]{1,40}\Z"
TEMPLATE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
WORD: Final = r"\A[A-Za-z]{1,24}\Z"
REQUEST_ID: Final = r"\A[A-Za-z0-9_-]{8,64}\Z"
LARGEST_CODE: Final = 2**31 - 1
BALANCE_STATES: Final = [*Subscription.State.values, "none"]
TEMPLATE_KINDS: Final = MessageTemplate.Kind.values


class ProblemWords(serializers.Serializer[Any]):
    """A word for programs, a sentence for people, and a sentence for each input that is wrong."""

    code = Text()
    message = Text()
    fields = serializers.DictField(child=Text())  # type: ignore[assignment] # DRF takes it off the class


class Problem(serializers.Serializer[Any]):
    """What every error looks like."""

    error = ProblemWords()


class SessionRequest(serializers.Serializer[Any]):
    """Exactly one of ``code`` (from wx.login) and ``openid`` (from a back end with an API key)."""

    app_id = Text(max_length=32)
    code = Text(max_length=128, required=False, allow_null=True)
    openid = Matching(OPENID, required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse both and neither."""
        if (attrs.get("code") is None) == (attrs.get("openid") is None):
            raise serializers.ValidationError({"code": _("Send either code or openid.")})
        return attrs


class SessionReply(serializers.Serializer[Any]):
    """A session. ``subscriber`` names the person to the outside; it is not the openid."""

    token = Text()
    expires_at = Moment()
    subscriber = Text()


class PromptQuery(serializers.Serializer[Any]):
    """Which scene of the mini-program the person is in."""

    scene = Matching(SCENE, help_text="The code of a scene.")


class PromptReason(serializers.Serializer[Any]):
    """Why a template is left out; without ``template_id``: why all of them are."""

    template_id = Text(allow_null=True)
    code = Text()
    message = Text()


class PromptReply(serializers.Serializer[Any]):
    """What to ask now: ``template_ids`` may be empty, and then the reasons say why."""

    prompt_id = Text()
    template_ids = serializers.ListField(child=Text())
    words = Text(help_text="To be shown before the popup.")
    silent_top_up = serializers.BooleanField(
        help_text="The person keeps a yes to all of these: asked inside a tap, WeChat shows no popup and each counts."
    )
    reasons = PromptReason(many=True)


@extend_schema_field({"type": "object", "additionalProperties": {"type": ["string", "integer"]}})
class Results(serializers.DictField):
    """The result map of wx.requestSubscribeMessage as it came: template id → WeChat's word."""

    child = Matching(WORD)

    def to_internal_value(self, data: Any) -> dict[str, str]:
        """Leave out what is no template; refuse a map that is too large."""
        if isinstance(data, dict):
            data = {key: value for key, value in data.items() if key not in NO_TEMPLATES}
            if len(data) > MOST_RESULTS:
                raise serializers.ValidationError(_("WeChat's popup has at most 5 templates."))
            # A key of another shape could not even be named in an answer (half a character, say).
            if not all(TEMPLATE_ID.fullmatch(key) for key in data):
                raise serializers.ValidationError(_("The keys must be template ids."))
        return dict(super().to_internal_value(data))


class AuthorizationRequest(serializers.Serializer[Any]):
    """What the popup brought. Exactly one of ``prompt_id`` and ``scene``; ``results`` or ``err_code`` or both."""

    prompt_id = Text(max_length=1024, required=False, allow_null=True)
    scene = Matching(SCENE, required=False, allow_null=True)
    results = Results(required=False, allow_null=True, help_text="errMsg and errCode among the keys are ignored.")
    err_code = Whole(
        min_value=-LARGEST_CODE,
        max_value=LARGEST_CODE,
        required=False,
        allow_null=True,
        help_text="errCode of a popup that failed.",
    )
    client_request_id = Matching(REQUEST_ID, help_text="Made anew for each popup, and the same in each repetition.")
    answered_ago_ms = Whole(
        min_value=0,
        max_value=OLDEST_ANSWER // timedelta(milliseconds=1),
        default=0,
        help_text="Milliseconds since the answer, measured on the phone, so that its clock does not matter.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse two origins or none, and a report of nothing."""
        if (attrs.get("prompt_id") is None) == (attrs.get("scene") is None):
            raise serializers.ValidationError({"prompt_id": _("Send either prompt_id or scene.")})
        if not attrs.get("results") and attrs.get("err_code") is None:
            raise serializers.ValidationError({"results": _("Send what the person answered, or err_code.")})
        return attrs


class TemplateBalance(serializers.Serializer[Any]):
    """What could be sent with a template: ``available`` one-time messages, the first ending at ``expires_at``.

    ``state`` is none where there never was a yes or a no that counts.
    """

    template_id = Text(source="template.wechat_id")
    state = serializers.ChoiceField(BALANCE_STATES)
    available = serializers.IntegerField(min_value=0)
    expires_at = Moment(allow_null=True)


class AuthorizationReply(serializers.Serializer[Any]):
    """The balances of the templates that were reported."""

    balances = TemplateBalance(many=True)


class SubscriptionBalance(TemplateBalance):
    """A template the person has ever agreed to or turned off, for a page of preferences."""

    title = Text(source="template.title")
    kind = serializers.ChoiceField(TEMPLATE_KINDS, source="template.kind")


class SubscriptionsReply(serializers.Serializer[Any]):
    """All of them, by title."""

    subscriptions = SubscriptionBalance(many=True)


class OpenRequest(serializers.Serializer[Any]):
    """The key a card's page carries as ``nk``."""

    nk = Text(max_length=64)


class VisitRequest(serializers.Serializer[Any]):
    """The page the mini-program was opened at, and the key of the card that led there."""

    page = Text(max_length=300)
    nk = Text(max_length=64, required=False, allow_null=True)


class DeedReply(serializers.Serializer[Any]):
    """What it counts as: the person's own card was opened, somebody else's was, or neither."""

    deed = serializers.ChoiceField([deed.value for deed in Deed])
