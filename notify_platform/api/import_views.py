"""People and consents from before, many at once."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from notify_platform.api import back_end_examples, examples
from notify_platform.api.back_end_shapes import (
    ConsentsReply,
    ConsentsRequest,
    SubscribersReply,
    SubscribersRequest,
)
from notify_platform.api.base import KeyView, answer
from notify_platform.api.models import ApiKey
from subscriptions.grants.importing import import_rows
from subscriptions.people import people


class SubscribersView(KeyView):
    """People's records."""

    scope = ApiKey.Scope.SUBSCRIBERS
    throttle_scope = "subscribers"
    # A thousand people with twenty tags each, written with escapes.
    max_body_bytes = 4 * 1024 * 1024

    @extend_schema(
        operation_id="keep_subscribers",
        tags=["import"],
        summary="Tell what you know of people",
        request=SubscribersRequest,
        responses=examples.replies(
            SubscribersReply, 401, 403, 413, 415, 429, wrong="subscribers.17.openid", refusals=["named_twice"]
        ),
        examples=back_end_examples.SUBSCRIBERS,
    )
    def post(self, request: Request) -> Response:
        """Who is new gets a record; of the others only what is given changes. One wrong row and nothing is written."""
        given = self.given(SubscribersRequest)
        kept = people.keep_records(self.mini_program(given["app_id"]), records=given["subscribers"])
        return answer(SubscribersReply, kept)


class ConsentsView(KeyView):
    """Consents people gave before the platform kept the books."""

    scope = ApiKey.Scope.CONSENTS
    throttle_scope = "consents"
    max_body_bytes = 512 * 1024

    @extend_schema(
        operation_id="import_consents",
        tags=["import"],
        summary="Import existing consent",
        request=ConsentsRequest,
        responses=examples.replies(
            ConsentsReply,
            *(401, 403, 413, 415, 429),
            wrong="consents.3.count",
            refusals=["bad_rows", "too_many_units"],
        ),
        examples=back_end_examples.CONSENTS,
    )
    def post(self, request: Request) -> Response:
        """All rows or none. If the request fails, repeat it with the same ``import_id`` and the same rows in the same
        order: nothing is counted twice.
        """
        given = self.given(ConsentsRequest)
        mini_program = self.mini_program(given["app_id"])
        imported = import_rows(mini_program, import_id=given["import_id"], consents=given["consents"])
        return answer(ConsentsReply, imported)
