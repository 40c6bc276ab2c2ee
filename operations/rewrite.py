"""
One partition written anew: first what the archive holds, then what only the old stream has.

Positions are kept where they can be, since they carry the append time; an entry whose position does not lie above the last one
gets the next after that, which leaves log time as it was: it is a running maximum.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.log import Mark
from streams.partitions import START


@dataclass(slots=True)
class Rewrite:
    """
    Where the new stream stands.

    `standing` has the position of each entry in the old stream, by digest; `finished` each group's mark there. A group's new mark
    is the last entry up to which it had finished everything: what the old stream had lost is handled again, which is harmless.
    """

    standing: Mapping[bytes, int]
    finished: Mapping[str, int]
    last: int = START
    entries: int = 0
    marks: dict[str, Mark] = field(default_factory=dict)
    _counting: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.marks = {group: Mark(START, 0) for group in self.finished}
        self._counting = set(self.finished)

    def place(self, position: int, digest: bytes) -> int:
        """Where the next entry goes that stood at this position."""
        self.last = max(position, self.last + 1)
        self.entries += 1
        stood_at = self.standing.get(digest)
        for group in sorted(self._counting):
            if stood_at is not None and stood_at <= self.finished[group]:
                self.marks[group] = Mark(self.last, self.entries)
            else:
                self._counting.discard(group)
        return self.last
