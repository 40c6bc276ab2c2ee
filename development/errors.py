"""What keeps `prosa dev` from running."""


class DevelopmentError(Exception):
    """Something that the user can put right; the message says how."""


class NothingRuns(DevelopmentError):
    """No `prosa dev` runs in the directory that is meant. Its text is one line: what is wrong; what to do."""
