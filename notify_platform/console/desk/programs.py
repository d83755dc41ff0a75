"""Pages about one mini-program at a time: which one, and the way to the others."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest

from notify_platform.console import access
from templates_app.models import MiniProgram


@dataclass(frozen=True, slots=True)
class Choice:
    """The mini-program a page is about, if there is any, and all a colleague works with, by name."""

    chosen: MiniProgram | None
    all: list[MiniProgram]


def choose(request: HttpRequest) -> Choice:
    """Return the mini-program the address names, or the first."""
    rows = access.limit(MiniProgram.objects.order_by("name", "pk"), to=request.user)
    programs = list(rows.only("pk", "name", "time_zone"))
    wanted = request.GET.get("mini_program", "")
    named = (program for program in programs if str(program.pk) == wanted)
    return Choice(chosen=next(named, programs[0] if programs else None), all=programs)
