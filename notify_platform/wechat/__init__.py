"""The gateway: everything WeChat's server API says and how we read it. No models."""
