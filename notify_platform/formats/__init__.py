"""How dates are written, language by language, where Django's own way does not fit a table."""
