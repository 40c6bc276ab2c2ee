"""When a loop last turned."""

import time


class Heartbeat:
    """
    A loop that hangs tells so by its silence: one that waits for a server that is away goes on turning.

    Before its first beat a loop has not begun, and its silence means nothing.
    """

    def __init__(self, loop: str) -> None:
        self.loop = loop
        self._beaten_at: float | None = None

    def beat(self) -> None:
        """The loop turns."""
        self._beaten_at = time.monotonic()

    @property
    def silent_seconds(self) -> float:
        """Since the last beat."""
        return 0.0 if self._beaten_at is None else time.monotonic() - self._beaten_at
