"""``python -m tests.chaos.shifted SECONDS deliver …``: a command of manage.py on a host whose clock is wrong.

``SIGUSR1`` lets the clock jump as far again to the other side. Only what Python asks is shifted: the database's clock,
which everybody shares, and the monotonic one stay.
"""

from __future__ import annotations

import signal
import sys
import time
from datetime import UTC, datetime

import django
import time_machine
from django.core.management import call_command


def main(seconds: float, command: list[str]) -> None:
    """Run the command."""
    shifts = iter([seconds, -seconds])
    journey: time_machine.travel | None = None

    def jump(*_: object) -> None:
        nonlocal journey
        if journey:
            journey.stop()
        journey = time_machine.travel(datetime.fromtimestamp(time.time() + next(shifts), tz=UTC), tick=True)
        journey.start()

    signal.signal(signal.SIGUSR1, jump)
    django.setup()
    jump()
    call_command(*command)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
