"""The operators' desk: a module for each kind of page. The pages of a job fill a folder of their own, ``jobs``."""
