"""What a consumer group's handler is given."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from streams.events import Event
from streams.log import Record


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    One event for one group, perhaps not for the first time.

    Nothing may act on it before the projection has reached `caught_up_to`: the event itself, and the head of its partition as it
    was when this process gained it. An `isolated` one runs alone in its partition, because workers ended while it was in work;
    where the partition `is_handed_over`, the owner before did not end, whatever it left in work.
    """

    group: str
    record: Record
    event: Event
    caught_up_to: int
    isolated: bool = False
    is_handed_over: bool = False

    @property
    def partition(self) -> int:
        return self.record.partition

    @property
    def position(self) -> int:
        return self.record.position


Handler: TypeAlias = Callable[[Delivery], Awaitable[object]]
"""Returns when the event is finished. What it raises leaves the event unfinished, and it is tried again in place."""
