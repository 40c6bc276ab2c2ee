"""What keeps `prosa dev` from running."""


class DevelopmentError(Exception):
    """Something that the user can put right; the message says how."""
