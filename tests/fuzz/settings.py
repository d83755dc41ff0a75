"""The settings of the tests, with rates that nobody reaches and the WeChat that was started for the run."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import REST_FRAMEWORK

_RATES = REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]
REST_FRAMEWORK = REST_FRAMEWORK | {"DEFAULT_THROTTLE_RATES": dict.fromkeys(_RATES, "1000000/min")}
WECHAT_API_BASE_URL = os.environ.get("FUZZ_WECHAT", "http://127.0.0.1:9")
