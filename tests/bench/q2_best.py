"""django-q2 at its best for a task per message: it fetches in bulk, keeps no results, never replaces a worker."""

from notify_platform.settings import *  # noqa: F403
from notify_platform.settings import WORKERS

Q_CLUSTER = {
    "name": "notify_platform",
    "orm": "default",
    "workers": WORKERS,
    "queue_limit": 100,
    "bulk": 20,
    "poll": 0.05,
    "timeout": 60,
    "retry": 3600,
    "recycle": 1_000_000,
    "save_limit": -1,
    "scheduler": False,
}
