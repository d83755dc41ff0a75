"""Consent: subscriptions, grants and answers."""
