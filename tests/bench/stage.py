"""One row on one database, in a process of its own: ``python -m tests.bench.stage ROW SCALE`` prints the raw figures.

The environment names the database; it is migrated here and expected to be empty.
"""

from __future__ import annotations

import json
import signal
import sys

import django
from django.core.management import call_command


def end_in_good_order() -> None:
    """Whoever is told to stop ends what it started: workers, servers, its database."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def main(name: str, scale: str) -> None:
    """Prepare Django, measure, tell."""
    end_in_good_order()
    django.setup()
    call_command("migrate", verbosity=0)
    # Models can be imported only now.
    from tests.bench import machine
    from tests.bench.listed import ROWS
    from tests.bench.rows import SCALES

    facts = machine.facts()
    sys.stdout.write(json.dumps({"facts": facts, **ROWS[name].measure(SCALES[scale])}))


if __name__ == "__main__":
    main(*sys.argv[1:])
