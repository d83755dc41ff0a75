"""Alerts: what a person has to know now, told once."""
