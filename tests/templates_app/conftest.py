"""Property tests of this folder have no deadline: a slow machine is not a wrong rule."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
