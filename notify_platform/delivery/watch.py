"""What one engine notices over many messages: the same refusal again, floods of "busy", codes nobody knows."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from notify_platform.delivery.settlement import Landed
from notify_platform.wechat.gateway import SendResult
from notify_platform.wechat.outcomes import JobEffect, Word

# A job whose messages are refused alike this often in a row stops: the rest would fail alike.
STOP_AFTER = 20
# The breaker: so many of the last outcomes busy, and everybody stands back.
WINDOW = 50
BUSY_LIMIT = 10
BUSY_WORDS = frozenset({Word.BUSY, Word.NOT_SENT, Word.UNKNOWN})
# Codes in no table: a few are an accident, more than 5 % of the last outcomes are for a person to read up.
STRANGE_WINDOW = 200
STRANGE_LIMIT = 10

_Refusal = tuple[int | None, str]


class Watch:
    """Looks at every settled message of one engine, in order."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._strange: deque[SendResult | None] = deque(maxlen=STRANGE_WINDOW)
        self._alike: dict[int, tuple[_Refusal, int]] = {}

    def look_at(self, settled: Sequence[Landed]) -> dict[int, Landed]:
        """Take note; return, by job id, an example of the refusal of each job that has to stop."""
        stopped: dict[int, Landed] = {}
        for item in settled:
            self._recent.append(item.result.outcome.word in BUSY_WORDS)
            self._strange.append(item.result if item.result.outcome.word is Word.OTHER else None)
            if self._is_one_too_many(item):
                stopped[item.message.job_id] = item
        return stopped

    def _is_one_too_many(self, item: Landed) -> bool:
        job_id = item.message.job_id
        if item.result.outcome.job is not JobEffect.STOP_IF_REPEATED:
            self._alike.pop(job_id, None)
            return False
        refusal = (item.result.code, item.result.field)
        last, count = self._alike.get(job_id, (refusal, 0))
        count = count + 1 if last == refusal else 1
        if count < STOP_AFTER:
            self._alike[job_id] = (refusal, count)
            return False
        # Whoever resumes the job has mended something: count anew.
        self._alike.pop(job_id, None)
        return True

    def is_flooded(self) -> bool:
        """Whether WeChat, or the way to it, is overwhelmed; asking starts a new window."""
        if sum(self._recent) < BUSY_LIMIT:
            return False
        self._recent.clear()
        return True

    def strange(self) -> SendResult | None:
        """Return the last answer nobody knows when there were too many of them; asking starts a new window."""
        found = [result for result in self._strange if result]
        if len(found) <= STRANGE_LIMIT:
            return None
        self._strange.clear()
        return found[-1]
