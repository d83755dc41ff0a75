"""What happens at the merchant's: reported, taken back, and what became of it."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from notify_platform.api import back_end_examples, examples
from notify_platform.api.back_end_shapes import (
    EVENT,
    EVENT_ID,
    DeliveryReply,
    EventAddress,
    EventReply,
    EventRequest,
    UndoReply,
)
from notify_platform.api.base import KeyView, answer
from notify_platform.api.models import ApiKey
from notify_platform.delivery import log
from notify_platform.delivery.models import Delivery
from notify_platform.jobs import events
from notify_platform.wechat import outcomes


def _part(name: str, example: object, **schema: Any) -> OpenApiParameter:
    """Return a part of an address, as the contract shows it."""
    shown = [OpenApiExample(name, value=example)]
    return OpenApiParameter(name, schema, OpenApiParameter.PATH, required=True, examples=shown)


def _javascripts(regex: str) -> str:
    """Return a pattern as JSON Schema writes it: the ends of a text are ^ and $ there."""
    return regex.replace(r"\A", "^").replace(r"\Z", "$")


_EVENT_PATH: Final = [
    _part("app_id", examples.APP, type="string", maxLength=32),
    _part("event", back_end_examples.EVENT, type="string", pattern=_javascripts(EVENT)),
    _part("event_id", back_end_examples.EVENT_ID, type="string", pattern=_javascripts(EVENT_ID)),
]


class EventsView(KeyView):
    """Events."""

    scope = ApiKey.Scope.EVENTS
    throttle_scope = "events"

    @extend_schema(
        operation_id="report_event",
        tags=["events"],
        summary="Report that something happened to a person",
        request=EventRequest,
        responses=examples.replies(
            EventReply, 401, 403, 413, 415, 429, wrong="event_id", refusals=["not_yet"], success=202
        ),
        examples=back_end_examples.EVENTS,
    )
    def post(self, request: Request) -> Response:
        """Repeat it as often as you like: it counts once, for ever, and the first report of an ``event_id`` is the one
        that counts. Your key vouches for the openid: somebody we do not know yet gets a record.
        """
        given = self.given(EventRequest)
        mini_program = self.mini_program(given["app_id"])
        event, is_new = events.report(
            mini_program,
            event=given["event"],
            event_id=given["event_id"],
            openid=given["openid"],
            data=given["data"],
            subject=given.get("subject", ""),
            occurred_at=given.get("occurred_at"),
        )
        content = {
            "deliveries": log.ids_of(event),
            "duplicate": not is_new,
            "undone": event.undone_at is not None,
        }
        return answer(EventReply, content, status=status.HTTP_202_ACCEPTED)


class EventView(KeyView):
    """One event."""

    scope = ApiKey.Scope.EVENTS
    throttle_scope = "events"

    @extend_schema(
        operation_id="undo_event",
        tags=["events"],
        summary="Take an event back",
        parameters=_EVENT_PATH,
        responses=examples.replies(UndoReply, 401, 403, 404, 429, wrong="event_id"),
        examples=back_end_examples.UNDOING,
    )
    def delete(self, request: Request, app_id: str, event: str, event_id: str) -> Response:
        """Also before it was reported: a report that comes later brings nothing. What was sent stays sent."""
        named = EventAddress(data={"app_id": app_id, "event": event, "event_id": event_id})
        named.is_valid(raise_exception=True)
        events.undo(self.mini_program(app_id), event=event, event_id=event_id)
        return answer(UndoReply, {"undone": True})


class DeliveryView(KeyView):
    """One message."""

    scope = ApiKey.Scope.DELIVERIES
    throttle_scope = "deliveries"

    @extend_schema(
        operation_id="read_delivery",
        tags=["events"],
        summary="What became of a message",
        parameters=[_part("id", back_end_examples.DELIVERY, type="integer", minimum=1)],
        responses=examples.replies(DeliveryReply, 401, 403, 404, 429),
        examples=back_end_examples.DELIVERIES,
    )
    def get(self, request: Request, id: int) -> Response:
        """Messages of the key's own mini-program. ``sent_at`` is when the request left for WeChat."""
        delivery = log.find(self.key.mini_program, delivery_id=id)
        if delivery is None:
            raise NotFound
        return answer(DeliveryReply, _shown(delivery))


def _shown(delivery: Delivery) -> dict[str, Any]:
    reason = {"code": delivery.reason, "message": delivery.get_reason_display()} if delivery.reason else None
    return {
        "id": delivery.pk,
        "state": delivery.state,
        "reason": reason,
        "error": _error(delivery),
        "template_id": delivery.template.wechat_id,
        "job": delivery.job.name if delivery.job else None,
        "openid": delivery.subscriber.openid,
        "due_at": delivery.due_at,
        "sent_at": delivery.armed_at,
        "settled_at": delivery.settled_at,
    }


def _error(delivery: Delivery) -> dict[str, Any] | None:
    if delivery.error_code is not None:
        meaning, next_step = outcomes.describe(delivery.error_code)
        return {"code": delivery.error_code, "message": meaning, "next_step": next_step}
    # Of a message that did not arrive WeChat gives words of its own, and nothing can be done.
    return {"code": None, "message": delivery.error_detail, "next_step": ""} if delivery.error_detail else None
