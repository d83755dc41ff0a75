"""Questions about what happened, answered from facts."""
