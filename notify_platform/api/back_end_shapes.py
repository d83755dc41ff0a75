"""What a merchant's back end sends, and what it gets."""

from __future__ import annotations

from typing import Any, Final

from rest_framework import serializers

from notify_platform.api.person_shapes import ProfileRequest
from notify_platform.api.reading import Document, Line, Lines, Matching, Moment, Text, Whole
from notify_platform.api.shapes import OPENID
from notify_platform.delivery.models import Delivery
from subscriptions.grants.import_checks import MAX_UNITS

MOST_ROWS: Final = 1000
EVENT: Final = r"\A[A-Za-z0-9][A-Za-z0-9_.:-]{0,59}\Z"
EVENT_ID: Final = r"\A[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}\Z"
IMPORT_ID: Final = r"\A[A-Za-z0-9_.-]{8,64}\Z"
GRANTED_AT: Final = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?\Z"
DELIVERY_STATES: Final = Delivery.State.values


class EventAddress(serializers.Serializer[Any]):
    """What names an event for ever."""

    app_id = Text(max_length=32)
    event = Matching(EVENT, help_text="The name that triggers wait for, like order_shipped.")
    event_id = Matching(EVENT_ID, help_text="Yours, one for each happening: it counts once, for ever.")


class EventRequest(EventAddress):
    """Something happened to a person."""

    subject = Line(max_length=120, required=False, allow_blank=True, help_text="What it is about, for people to read.")
    openid = Matching(OPENID)
    data = Document(  # type: ignore[assignment] # DRF takes it off the class
        help_text="What the texts of a message may name; at most 8 levels deep."
    )
    occurred_at = Moment(required=False, allow_null=True, help_text="Left out: now. Not in the future.")


class EventReply(serializers.Serializer[Any]):
    """The messages it has brought, by their ids.

    ``duplicate``: it was reported, or undone, before, and that counts, whatever was sent now. ``undone``: it brings
    nothing.
    """

    deliveries = serializers.ListField(child=serializers.IntegerField(min_value=1))
    duplicate = serializers.BooleanField()
    undone = serializers.BooleanField()


class UndoReply(serializers.Serializer[Any]):
    """It counts no more, nor will it when it comes later."""

    undone = serializers.BooleanField()


class DeliveryReason(serializers.Serializer[Any]):
    """Why it waits, or was not sent."""

    code = Text()
    message = Text()


class DeliveryError(serializers.Serializer[Any]):
    """What WeChat said of it: its code with our sentence, or its own words where there is no code."""

    code = serializers.IntegerField(allow_null=True)
    message = Text()
    next_step = Text()


class DeliveryReply(serializers.Serializer[Any]):
    """One message to one person."""

    id = serializers.IntegerField(min_value=1)
    state = serializers.ChoiceField(DELIVERY_STATES)
    reason = DeliveryReason(allow_null=True)
    error = DeliveryError(allow_null=True)
    template_id = Text()
    job = Text(allow_null=True, help_text="The broadcast's name; null for a message that an event brought.")
    openid = Text()
    due_at = Moment()
    sent_at = Moment(allow_null=True)
    settled_at = Moment(allow_null=True)


class SubscriberRow(ProfileRequest):
    """A person; what is left out stays as it is."""

    openid = Matching(OPENID)
    tags = Lines(required=False)


class SubscribersRequest(serializers.Serializer[Any]):
    """At most 1000 people, each once."""

    app_id = Text(max_length=32)
    subscribers = serializers.ListField(child=SubscriberRow(), min_length=1, max_length=MOST_ROWS)


class SubscribersReply(serializers.Serializer[Any]):
    """How many people were new, and how many were known."""

    created = serializers.IntegerField(min_value=0)
    updated = serializers.IntegerField(min_value=0)


class ConsentRow(serializers.Serializer[Any]):
    """What one person agreed to before."""

    openid = Matching(OPENID)
    template_id = Text(max_length=64)
    count = Whole(min_value=1, max_value=MAX_UNITS, required=False, help_text="Consents; left out: 1.")
    granted_at = Matching(
        GRANTED_AT,
        required=False,
        help_text="2026-11-20 or 2026-11-20 09:30, in the mini-program's time zone unless it says another; "
        "left out: now.",
    )


class ConsentsRequest(serializers.Serializer[Any]):
    """At most 1000 rows, and 10000 consents."""

    app_id = Text(max_length=32)
    import_id = Matching(IMPORT_ID, help_text="Yours; the same rows with the same id again add nothing.")
    consents = serializers.ListField(child=ConsentRow(), min_length=1, max_length=MOST_ROWS)


class ConsentsReply(serializers.Serializer[Any]):
    """Rows read, and units granted."""

    lines = serializers.IntegerField(min_value=0)
    units = serializers.IntegerField(min_value=0)
