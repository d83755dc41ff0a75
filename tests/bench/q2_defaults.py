"""django-q2 as it comes: only what it cannot do without is set."""

import warnings

from notify_platform.settings import *  # noqa: F403

# It warns of its own defaults.
warnings.filterwarnings("ignore", message="Retry and timeout are misconfigured")

Q_CLUSTER = {"name": "notify_platform", "orm": "default"}
