"""People: one openid of one mini-program each."""
