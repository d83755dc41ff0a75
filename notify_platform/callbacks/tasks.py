"""What the doorbell calls for the inbox."""

from __future__ import annotations

import time

from notify_platform.callbacks import inbox
from notify_platform.core import queue

SLICE_SECONDS = 5.0


def handle() -> None:
    """Handle the pushes that are due; ring again when there are more than one slice could take."""
    queue.answer("callbacks")
    ends_at = time.monotonic() + SLICE_SECONDS
    while inbox.handle_due():
        if time.monotonic() > ends_at:
            queue.ring("callbacks")
            return


def process_unmatched(mini_program_id: int) -> None:
    """The mirror has seen new templates: what spoke of them before they were known is due again."""
    queue.answer("unmatched", mini_program_id)
    while inbox.process_unmatched(mini_program_id) == inbox.AGAIN_AT_ONCE:
        pass
