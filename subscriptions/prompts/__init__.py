"""Scenes: the moments at which consent is asked."""
