"""What a person wishes: in WeChat's settings, and in the preference centre of the mini-program."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from notify_platform.api import examples
from notify_platform.api.base import PhoneView, answer
from notify_platform.api.person_shapes import (
    PreferencesReply,
    PreferencesRequest,
    ProfileReply,
    ProfileRequest,
    WechatSettings,
    WechatSettingsReply,
)
from notify_platform.core.errors import Refused
from notify_platform.jobs import bans
from subscriptions.grants import wishes
from subscriptions.grants.pairing import BAN
from subscriptions.models import Subscriber
from subscriptions.people import people
from subscriptions.people.people import QuietHours
from subscriptions.prompts.reporting import Reported
from templates_app.models import MessageTemplate


class WechatSettingsView(PhoneView):
    """The person's settings in WeChat."""

    throttle_scope = "wechat_settings"

    @extend_schema(
        operation_id="report_wechat_settings",
        tags=["consent"],
        summary="Report the person's settings in WeChat",
        request=WechatSettings,
        responses=examples.replies(WechatSettingsReply, 401, 413, 415, 429, wrong="mainSwitch"),
        examples=examples.WECHAT_SETTINGS,
    )
    def put(self, request: Request) -> Response:
        """Send ``subscriptionsSetting`` of wx.getSetting as it came, after each launch and each visit of the settings.
        While the main switch is off consents are kept and not used. A kept answer is what WeChat will say without a
        popup; no consent is added or revoked by it. Ids that are no templates here are ignored.
        """
        given = self.given(WechatSettings)
        words = given.get("itemSettings") or {}
        mine = MessageTemplate.objects.filter(mini_program_id=self.subscriber.mini_program_id, wechat_id__in=words)
        kept = {template: words[template.wechat_id] for template in mine.order_by("wechat_id")}
        wishes.note_settings(self.subscriber, main_switch=given["mainSwitch"], kept=kept)
        banned = [template for template, word in kept.items() if word == BAN]
        bans.heed(self.subscriber, reported=Reported(banned=banned, app_banned=False))
        always_keep = [{"template_id": template.wechat_id, "answer": word} for template, word in kept.items()]
        return answer(WechatSettingsReply, {"main_switch": given["mainSwitch"], "always_keep": always_keep})


class PreferencesView(PhoneView):
    """The preference centre."""

    throttle_scope = "preferences"

    @extend_schema(
        operation_id="read_preferences",
        tags=["preferences"],
        summary="What the person wishes",
        responses=examples.replies(PreferencesReply, 401, 429),
        examples=examples.PREFERENCES,
    )
    def get(self, request: Request) -> Response:
        """For a page of preferences: muted templates, quiet hours, a pause, and every template the person ever had to
        do with.
        """
        return answer(PreferencesReply, _shown(self.subscriber))

    @extend_schema(
        operation_id="change_preferences",
        tags=["preferences"],
        summary="Change what the person wishes",
        request=PreferencesRequest,
        responses=examples.replies(
            PreferencesReply,
            *(401, 413, 415, 429),
            wrong="quiet_hours",
            refusals=["unknown_template", "bad_quiet_hours", "bad_pause"],
        ),
        examples=examples.PREFERENCE_CHANGES,
    )
    def patch(self, request: Request) -> Response:
        """Obeyed from the next message on, also by messages that are urgent. Nothing is turned on or off by this."""
        given = self.given(PreferencesRequest)
        changes = wishes.Changes()
        if "muted" in given:
            changes["muted"] = _templates(self.subscriber, wechat_ids=given["muted"])
        if "quiet_hours" in given:
            hours = given["quiet_hours"]
            changes["quiet_hours"] = QuietHours(hours["from"], hours["until"]) if hours else None
        if "paused_until" in given:
            changes["paused_until"] = given["paused_until"]
        wishes.change(self.subscriber, changes=changes)
        return answer(PreferencesReply, _shown(self.subscriber))


class ProfileView(PhoneView):
    """The person's own record."""

    throttle_scope = "profile"

    @extend_schema(
        operation_id="change_profile",
        tags=["preferences"],
        summary="Tell something of the person",
        request=ProfileRequest,
        responses=examples.replies(ProfileReply, 401, 413, 415, 429, wrong="time_zone"),
        examples=examples.PROFILES,
    )
    def patch(self, request: Request) -> Response:
        """Only what the person told you, and agreed that you keep. An empty object reads the record."""
        people.change_profile(self.subscriber, changes=cast("people.Profile", self.given(ProfileRequest)))
        return answer(ProfileReply, Subscriber.objects.get(pk=self.subscriber.pk))


def _shown(subscriber: Subscriber) -> dict[str, Any]:
    wished = wishes.preferences(subscriber)
    hours = wished.quiet_hours
    return {
        "muted": wished.muted,
        "quiet_hours": {"from": hours.begin, "until": hours.end} if hours else None,
        "paused_until": wished.paused_until,
        "time_zone": wished.time_zone,
        "templates": [
            {
                "template_id": each.template.wechat_id,
                "title": each.template.title,
                "kind": each.template.kind,
                "state": each.standing,
                "muted": each.muted_at is not None,
            }
            for each in wished.subscriptions
        ],
    }


def _templates(subscriber: Subscriber, *, wechat_ids: Collection[str]) -> list[MessageTemplate]:
    """Return the templates named. Raises ``Refused`` naming the ids the mini-program does not have."""
    mine = MessageTemplate.objects.filter(mini_program_id=subscriber.mini_program_id, wechat_id__in=wechat_ids)
    known = {template.wechat_id: template for template in mine}
    unknown = [number for number, wechat_id in enumerate(wechat_ids) if wechat_id not in known]
    if unknown:
        sentence = _("This mini-program has no such template.")
        raise Refused(sentence, code="unknown_template", fields={f"muted.{number}": sentence for number in unknown})
    return list(known.values())
