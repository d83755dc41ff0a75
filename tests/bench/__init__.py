"""Measurements: ``python -m tests.bench``. Ratios from one interleaved run; nothing here fails for being slow."""
