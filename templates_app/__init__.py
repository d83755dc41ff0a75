"""What may be said: mini-programs, their templates, the fields and the rules of each field."""
