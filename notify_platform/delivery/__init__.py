"""From a running job to one message per person: fan-out, gates, claims, engine, settlement."""
