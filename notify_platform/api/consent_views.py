"""Asking for consent, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from notify_platform.api import examples, prompt_ids
from notify_platform.api.base import PhoneView, answer
from notify_platform.api.prompt_ids import Prompt
from notify_platform.api.shapes import (
    AuthorizationReply,
    AuthorizationRequest,
    PromptQuery,
    PromptReply,
    SubscriptionsReply,
)
from notify_platform.core.errors import Refused
from notify_platform.core.prepared import Prepared
from notify_platform.jobs import bans
from subscriptions.grants.balances import balances
from subscriptions.models import Subscriber, Subscription
from subscriptions.prompts import planner
from subscriptions.prompts.reporting import report
from templates_app.models import MessageTemplate, MiniProgram

# What the books ask of a template and of its mini-program, whose secrets need not be opened for a report.
_TEMPLATES: Final = Prepared(
    lambda mini_program, wechat_ids: MessageTemplate.objects.filter(
        mini_program_id=mini_program, wechat_id__in=wechat_ids
    ).only("mini_program", "wechat_id", "title", "kind", "state", "validity_days")
)
_RULES: Final = Prepared(
    lambda pk: MiniProgram.objects.filter(pk=pk).only("client_unconfirmed_limit", "reject_revokes")
)


class PromptsView(PhoneView):
    """What to ask now."""

    throttle_scope = "prompts"

    @extend_schema(
        operation_id="plan_prompt",
        tags=["consent"],
        summary="What to ask this person now",
        parameters=[PromptQuery],
        responses=examples.replies(PromptReply, 401, 429, wrong="scene", refusals=["unknown_scene"]),
        examples=examples.PROMPTS,
    )
    def get(self, request: Request) -> Response:
        """Hand ``template_ids`` to wx.requestSubscribeMessage inside a tap. Nothing is written."""
        scene = planner.scene_of(self.subscriber, code=self.given(PromptQuery)["scene"])
        plan = planner.plan(self.subscriber, scene=scene)
        content = {
            "prompt_id": prompt_ids.make(scene, plan=plan),
            "template_ids": plan.template_ids,
            "words": plan.words,
            "silent_top_up": plan.silent_top_up,
            "reasons": plan.reasons,
        }
        return answer(PromptReply, content)


class AuthorizationsView(PhoneView):
    """What the popup brought."""

    throttle_scope = "authorizations"

    @extend_schema(
        operation_id="report_authorization",
        tags=["consent"],
        summary="Report what the person answered",
        request=AuthorizationRequest,
        responses=examples.replies(
            AuthorizationReply,
            *(401, 413, 415, 429),
            wrong="client_request_id",
            refusals=["unknown_prompt", "unknown_scene", "unknown_template"],
        ),
        examples=examples.AUTHORIZATIONS,
    )
    def post(self, request: Request) -> Response:
        """Send the result of wx.requestSubscribeMessage as it came; if the request fails, repeat it with the same
        ``client_request_id``: nothing is counted twice.
        """
        received_at = timezone.now()
        given = self.given(AuthorizationRequest)
        words = given.get("results") or {}
        prompt = self._prompt(given)
        known = _templates(self.subscriber, reported=words, planned=prompt.template_ids)
        templates = [known[wechat_id] for wechat_id in words]
        reported = report(
            self.subscriber,
            scene_id=prompt.scene.pk if prompt.scene else None,
            planned=[known[wechat_id].pk for wechat_id in prompt.template_ids if wechat_id in known],
            is_silent=prompt.is_silent,
            results={template: words[template.wechat_id] for template in templates},
            err_code=given.get("err_code"),
            client_request_id=given["client_request_id"],
            answered_at=received_at - timedelta(milliseconds=given["answered_ago_ms"]),
        )
        bans.heed(self.subscriber, reported=reported)
        return answer(AuthorizationReply, {"balances": balances(self.subscriber, templates=templates)})

    def _prompt(self, given: Mapping[str, Any]) -> Prompt:
        """Return what was asked; a phone that asked without a plan names only the scene."""
        if given.get("prompt_id") is not None:
            return prompt_ids.read(self.subscriber, prompt_id=given["prompt_id"])
        scene = planner.scene_of(self.subscriber, code=given["scene"])
        return Prompt(scene=scene, template_ids=[], is_silent=False)


class SubscriptionsView(PhoneView):
    """The person's standing."""

    throttle_scope = "subscriptions"

    @extend_schema(
        operation_id="list_subscriptions",
        tags=["consent"],
        summary="Which templates the person has to do with",
        responses=examples.replies(SubscriptionsReply, 401, 429),
        examples=examples.SUBSCRIPTIONS,
    )
    def get(self, request: Request) -> Response:
        """Every template the person ever agreed to or turned off, with what could be sent now."""
        decided = Subscription.objects.filter(~Subscription.UNDECIDED, subscriber=self.subscriber)
        mine = MessageTemplate.objects.filter(subscriptions__in=decided).order_by("title", "pk")
        return answer(SubscriptionsReply, {"subscriptions": balances(self.subscriber, templates=list(mine))})


def _templates(
    subscriber: Subscriber, *, reported: Collection[str], planned: Collection[str]
) -> dict[str, MessageTemplate]:
    """Return the templates by WeChat's id: all that are reported, and what is still there of the planned ones.

    Raises ``Refused`` naming the reported ids the mini-program does not have.
    """
    rows = _TEMPLATES.objects(mini_program=subscriber.mini_program_id, wechat_ids=list({*reported, *planned}))
    known = {template.wechat_id: template for template in rows}
    for mini_program in _RULES.objects(pk=subscriber.mini_program_id) if known else ():
        for template in rows:
            template.mini_program = mini_program
    unknown = [wechat_id for wechat_id in reported if wechat_id not in known]
    if unknown:
        sentence = _("This mini-program has no such template.")
        fields = {f"results.{wechat_id}": sentence for wechat_id in unknown}
        raise Refused(sentence, code="unknown_template", fields=fields)
    return known
