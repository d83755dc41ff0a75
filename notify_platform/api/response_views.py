"""What came of a card: a goal that was reached, a word of thanks or of complaint."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from notify_platform.api import examples
from notify_platform.api.base import PhoneView, answer
from notify_platform.api.person_shapes import ConversionReply, ConversionRequest, FeedbackReply, FeedbackRequest
from notify_platform.delivery.models import Feedback
from notify_platform.delivery.responses import record_conversion, record_feedback


class ConversionsView(PhoneView):
    """Goals that people reached."""

    throttle_scope = "conversions"

    @extend_schema(
        operation_id="report_conversion",
        tags=["visits"],
        summary="Report that a goal was reached",
        request=ConversionRequest,
        responses=examples.replies(ConversionReply, 401, 413, 415, 429, wrong="goal", refusals=["bad_key"]),
        examples=examples.CONVERSIONS,
    )
    def post(self, request: Request) -> Response:
        """With the ``nk`` of a card it counts for that card, when the card is the person's own. Without one it counts
        for none: the last card before it is not taken for its cause.
        """
        given = self.given(ConversionRequest)
        attributed = record_conversion(
            self.subscriber,
            goal=given["goal"],
            value=given.get("value"),
            key=given.get("nk") or "",
            request_key=given.get("client_request_id") or "",
        )
        return answer(ConversionReply, {"attributed": attributed})


class FeedbackView(PhoneView):
    """What people think of cards."""

    throttle_scope = "feedback"

    @extend_schema(
        operation_id="give_feedback",
        tags=["visits"],
        summary="Say what the person thinks of a card",
        request=FeedbackRequest,
        responses=examples.replies(
            FeedbackReply, 401, 413, 415, 429, wrong="kind", refusals=["bad_key", "not_your_card"]
        ),
        examples=examples.FEEDBACK,
    )
    def post(self, request: Request) -> Response:
        """Only of a card of the person's own; the latest word replaces the one before."""
        given = self.given(FeedbackRequest)
        kind = Feedback.Kind(given["kind"])
        record_feedback(self.subscriber, key=given["nk"], kind=kind, text=given.get("text") or "")
        return answer(FeedbackReply, {"kind": kind})
