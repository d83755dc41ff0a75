"""To whom: people, their consent, the scenes that ask for it, and audiences."""
