"""Send jobs: what is to be said, to whom, when, and who agreed to it."""
