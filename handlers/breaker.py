"""A breaker: when everything fails, the group waits. An outage is not poison, and must not be diverted to the dead letters."""

import asyncio

from telemetry import log

FAILURES_IN_A_ROW = 20
"""So many failures in a row, with no success between them, are an outage and not so many poisons."""


class Breaker:
    """Closed while things work. Once open it lets one try through at a time, a pause apart, until one succeeds."""

    def __init__(self, group: str, *, pause_seconds: float) -> None:
        self._group = group
        self._pause_seconds = pause_seconds
        self._failures = 0
        self._is_open = False
        self._reason = ""
        self._probes = asyncio.Lock()

    @property
    def group(self) -> str:
        return self._group

    @property
    def is_open(self) -> bool:
        return self._is_open

    @property
    def reason(self) -> str:
        """What was told when it opened last."""
        return self._reason

    async def admit(self) -> bool:
        """Pass at once while closed; while open, wait in line for a try. Whether it waited: what was known before may be old."""
        if not self._is_open:
            return False
        async with self._probes:
            if self._is_open:
                await asyncio.sleep(self._pause_seconds)
        return True

    def succeeded(self) -> None:
        """Something worked."""
        if self._is_open:
            log.warning("group.resumed", group=self._group)
        self._failures = 0
        self._is_open = False

    def failed(self, error: str) -> None:
        """Something failed that has nothing to do with the one message, as far as one can tell."""
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            self.trip(error)

    def trip(self, error: str) -> None:
        """Pause the group now."""
        if not self._is_open:
            log.error("group.paused", group=self._group, error=error)
            self._reason = error
        self._is_open = True
