"""The operators' desk: the admin site and its commands."""
