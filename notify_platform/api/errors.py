"""Every error of the API in one envelope: ``{"error": {"code", "message", "fields"}}``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from django.core.signals import got_request_exception
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from notify_platform.core.errors import Refused

logger = logging.getLogger(__name__)

# DRF's word for what concerns no single field.
_WHOLE = "non_field_errors"
# A thousand rows with the same fault need not be told a thousand times.
MOST_FIELDS = 50


class TooLarge(APIException):
    """The body is longer than the endpoint takes."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = gettext_lazy("The body is too long.")
    default_code = "too_large"


class Unavailable(APIException):
    """Not now; the same request may work after ``wait`` seconds."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"

    def __init__(self, message: str, *, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class _RefusedByVerb(APIException):
    """A verb's ``Refused`` on its way out."""

    status_code = status.HTTP_400_BAD_REQUEST

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message, refused.code)
        self.fields = refused.fields


class _OurFault(APIException):
    """Anything nobody thought of. What it was stands in the log and nowhere else."""

    default_detail = gettext_lazy("Something went wrong on our side.")
    default_code = "server_error"


def envelope(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: the envelope of any exception, in the active language."""
    response = exception_handler(error, context)
    if response is None:
        error = _RefusedByVerb(error) if isinstance(error, Refused) else _our_fault(error, context)
        response = exception_handler(error, context)
        assert response is not None  # noqa: S101 - DRF answers every APIException
    response.data = {"error": _content(error, response)}
    return response


def _our_fault(error: Exception, context: Mapping[str, Any]) -> APIException:
    request = context["request"]
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    # What Django does for an exception that escapes a view: error trackers and the test client listen.
    got_request_exception.send(sender=type(context["view"]), request=request)
    return _OurFault()


def _content(error: Exception, response: Response) -> dict[str, Any]:
    if isinstance(error, ValidationError):
        fields = dict(islice(_sentences(error.detail), MOST_FIELDS))
        message = fields.pop(_WHOLE, "") or _("Some of the input is wrong: see the fields.")
        return {"code": "invalid", "message": message, "fields": fields}
    # DRF makes its own exception of Django's 404 and 403, so what it says is in the response.
    detail = response.data["detail"]
    fields = dict(islice(getattr(error, "fields", {}).items(), MOST_FIELDS))
    return {"code": detail.code, "message": str(detail), "fields": fields}


def _sentences(detail: Any, *, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Walk DRF's tree of errors: field name (nested ones with dots) → its sentences."""
    if isinstance(detail, Mapping):
        for key, below in detail.items():
            yield from _sentences(below, path=path if key == _WHOLE else (*path, str(key)))
    else:
        yield ".".join(path) or _WHOLE, " ".join(str(each) for each in detail)
