"""Audiences: a saved rule or an uploaded list, and the people it means."""
