"""A WeChat of our own, for development, tests and the demo: real HTTP, everything in memory, no models.

``server`` runs it, ``control`` steers it from any process.
"""
