"""Which threads are due, found in proportion to how many are."""

import heapq


class DeadlineQueue:
    """
    Threads by deadline. A thread whose deadline moved stands in it at every deadline that it ever had.

    So whoever takes a thread compares its deadline of now.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []

    def put(self, thread: str, deadline_ms: int | None) -> None:
        if deadline_ms is not None:
            heapq.heappush(self._heap, (deadline_ms, thread))

    def take(self, until_ms: int) -> list[str]:
        """The threads that stand at or before a time, each once; they leave the queue."""
        taken: dict[str, None] = {}
        while self._heap and self._heap[0][0] <= until_ms:
            taken[heapq.heappop(self._heap)[1]] = None
        return list(taken)
