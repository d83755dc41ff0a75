"""People coming by: with a card, or just so."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from notify_platform.api import examples
from notify_platform.api.base import PhoneView, answer
from notify_platform.api.shapes import DeedReply, OpenRequest, VisitRequest
from notify_platform.delivery.responses import record_open, record_visit


class OpensView(PhoneView):
    """Cards that were tapped."""

    throttle_scope = "opens"

    @extend_schema(
        operation_id="report_open",
        tags=["visits"],
        summary="Report that a card was tapped",
        request=OpenRequest,
        responses=examples.replies(DeedReply, 401, 413, 415, 429, wrong="nk", refusals=["bad_key"]),
        examples=examples.OPENS,
    )
    def post(self, request: Request) -> Response:
        """Send the ``nk`` of the page's options. The person's own card counts once as opened; somebody else's, passed
        on, is a shared visit.
        """
        return answer(DeedReply, {"deed": record_open(self.subscriber, key=self.given(OpenRequest)["nk"])})


class VisitsView(PhoneView):
    """Visits of the mini-program."""

    throttle_scope = "visits"

    @extend_schema(
        operation_id="report_visit",
        tags=["visits"],
        summary="Report that the mini-program was opened",
        request=VisitRequest,
        responses=examples.replies(DeedReply, 401, 413, 415, 429, wrong="page", refusals=["bad_key"]),
        examples=examples.VISITS,
    )
    def post(self, request: Request) -> Response:
        """Once for each launch. With the ``nk`` of a card this is its open too: no need to report that again."""
        given = self.given(VisitRequest)
        deed = record_visit(self.subscriber, page=given["page"], key=given.get("nk") or "")
        return answer(DeedReply, {"deed": deed})
