"""The pages of a job: writing it, deciding about it, starting, watching and repeating it.

``page`` is the admin class that puts the others together; ``compose_page`` is its half while the job is a draft.
"""
