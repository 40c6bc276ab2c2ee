"""
Which events may have ended their worker. Pure.

When a partition was taken over ungracefully three times and the group's mark never moved, one of the events that were in work is
suspected: all up to the head of that moment run one at a time, until the mark has passed them. A graceful stop does not count.
"""

from dataclasses import dataclass

from streams.partitions import START

ISOLATE_AFTER = 3


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What is remembered of a group in a partition: the mark at the last takeover, and for how many it stood there."""

    number: int = 0
    mark: int = START
    takeovers: int = 0
    isolated_to: int = START

    def after_takeover(self, *, number: int, is_graceful: bool, mark: int, head: int) -> "Suspicion":
        """Count a takeover; the same one is counted once."""
        if number == self.number:
            return self
        takeovers = self.takeovers if mark == self.mark else 0
        if not is_graceful:
            takeovers += 1
        isolated_to = head if takeovers >= ISOLATE_AFTER else self.isolated_to
        return Suspicion(number, mark, takeovers, isolated_to if isolated_to > mark else START)
