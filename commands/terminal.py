"""What all commands share: the two consoles, and what a user is told instead of a traceback."""

from rich.console import Console

console = Console(highlight=False)
complaints = Console(stderr=True, highlight=False)


class Complaint(Exception):
    """One sentence that says what is wrong and what to do; the command ends with exit code 1."""
