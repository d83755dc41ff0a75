"""What WeChat pushes to us: verify, store, answer; handle later."""
