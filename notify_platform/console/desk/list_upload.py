"""Uploading a list of people: check the file, look at what is wrong, save what is good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_protect
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from notify_platform.console import access
from notify_platform.console.desk.base import actor_of
from notify_platform.console.desk.lists import number_of
from notify_platform.core.errors import Refused
from subscriptions.audience import files, uploads
from subscriptions.people.models import mask
from templates_app.models import MiniProgram

if TYPE_CHECKING:
    from notify_platform.console.access import Somebody
    from notify_platform.console.desk.audiences import AudienceAdmin

    _MiniProgramField = forms.ModelChoiceField[MiniProgram]
else:
    _MiniProgramField = forms.ModelChoiceField

PAGE, REPORT = "console/list_upload.html", "console/list_report.html"
# What a form takes besides its file.
_AROUND = 64 * 1024


class UploadForm(forms.Form):
    """A file of openids and what the list is to be called."""

    mini_program = _MiniProgramField(
        MiniProgram.objects.none(), label=_("mini-program"), widget=UnfoldAdminSelectWidget
    )
    name = forms.CharField(
        label=_("name"),
        max_length=60,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    file = forms.FileField(
        label=_("file"), allow_empty_file=True, widget=forms.FileInput(attrs={"accept": ".csv,.txt,.xlsx"})
    )

    def __init__(self, *args: Any, by: Somebody, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        programs = access.limit(MiniProgram.objects.order_by("name"), to=by)
        self.fields["mini_program"].queryset = programs  # type: ignore[attr-defined]
        self.initial.setdefault("mini_program", programs.values_list("pk", flat=True).first())


def refused_by_its_size(request: HttpRequest) -> str | None:
    """Return why a request is refused before a byte of it is read, or None."""
    length = number_of(request.META.get("CONTENT_LENGTH") or "0")
    most = settings.LIST_MAX_MEGABYTES * 1024 * 1024 + _AROUND
    return files.too_large() if length is None or length > most else None


def answer(desk: AudienceAdmin, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Answer a GET with the form, a POST with a report or with the saved audience."""

    def view(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return TemplateResponse(request, PAGE, context | {"form": UploadForm(by=request.user)})
        context["next"] = desk.way_back(request)
        form = UploadForm(request.POST, request.FILES, by=request.user)
        if form.is_valid():
            try:
                return _check_or_save(desk, request, form, context)
            except Refused as refusal:
                _place(form, refusal)
        return _shown(request, context | {"form": form})

    return csrf_protect(view)(request)


def _check_or_save(
    desk: AudienceAdmin, request: HttpRequest, form: UploadForm, context: dict[str, Any]
) -> HttpResponse:
    """Raises ``Refused``."""
    given = form.cleaned_data
    file = {"name": given["file"].name, "size": given["file"].size, "mini_program": given["mini_program"]}
    if "check" in request.POST:
        report = uploads.check(given["file"].file, **file)
        return _shown(request, context | {"form": form, **told(report)})
    audience, report = uploads.keep(given["file"].file, **file, called=given["name"], by=actor_of(request))
    sentence = ngettext(
        "The list “%(name)s” was saved with %(good)s person.", "The list “%(name)s” was saved with %(good)s people.",
        report.good,
    )  # fmt: skip
    messages.success(request, sentence % {"name": audience.name, "good": f"{report.good:,}"})
    if report.left_out:
        sentence = gettext("Left out because something is wrong with them: %(number)s lines.")
        messages.warning(request, sentence % {"number": f"{report.left_out:,}"})
    page = reverse("admin:subscriptions_audience_change", args=[audience.pk])
    return desk.back(request, audience) or HttpResponseRedirect(page)


def told(report: uploads.Report) -> dict[str, Any]:
    """Return a report as the page shows it."""
    return {
        "report": report,
        "kinds": [(uploads.Wrong(kind).label, f"{number:,}") for kind, number in report.wrong.most_common()],
        "shown": _lines(report.shown),
    }


def _lines(wrong: Sequence[uploads.WrongLine]) -> list[tuple[int, str, str]]:
    """What nearly is an openid may be somebody's: it is masked."""
    return [(line.number, mask(line.text) if len(line.text) > 12 else line.text, str(line.why.label)) for line in wrong]


def _place(form: UploadForm, refusal: Refused) -> None:
    for name, sentence in (refusal.fields or {"file": refusal.message}).items():
        form.add_error(name if name in form.fields else None, sentence)


def _shown(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """A script asks for the report alone, and keeps the chosen file."""
    is_script = request.headers.get("X-Requested-With") == "XMLHttpRequest"
    return TemplateResponse(request, REPORT if is_script else PAGE, context)
