"""The rows there are. Needs Django to be set up."""

from __future__ import annotations

from typing import Final

from tests.bench import broadcast, funnel, intake, long_lists, pace, plans, sent_events, urgent
from tests.bench.rows import Row

ROWS: Final[dict[str, Row]] = {
    "broadcast": Row(
        "broadcasts", broadcast.measure, broadcast.goals, broadcast.table, broadcast.profiles, broadcast.charts
    ),
    "funnel": Row("the audience's way", funnel.measure, funnel.goals, funnel.table, funnel.profiles),
    "intake": Row("authorizations intake", intake.measure, intake.goals, intake.table, intake.profiles),
    "lists": Row("the desk's lists", long_lists.measure, long_lists.goals, long_lists.table, long_lists.profiles),
    "pace": Row("pace", pace.measure, pace.goals, pace.table, pace.profiles),
    "plans": Row("plans", plans.measure, plans.goals, plans.table, plans.profiles),
    "sent-events": Row("sent events", sent_events.measure, sent_events.goals, sent_events.table, sent_events.profiles),
    "urgent": Row("what goes first", urgent.measure, urgent.goals, urgent.table, urgent.profiles),
}
