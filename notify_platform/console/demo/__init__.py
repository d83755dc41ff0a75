"""The demo: believable data, a WeChat of our own, one campaign from consent to sent event."""
