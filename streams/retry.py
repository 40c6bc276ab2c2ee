"""How long to wait before trying again. Pure: chance is given."""

from dataclasses import dataclass

_LONGEST_EXPONENT = 32


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The wait doubles from `base_seconds` up to `max_seconds`; chance takes up to half of it off, lest all retry in step."""

    max_attempts: int = 5
    base_seconds: float = 0.5
    max_seconds: float = 30.0

    def pause_seconds(self, attempt: int, chance: float) -> float:
        """The wait after failed attempt 1, 2, …, for a `chance` in [0, 1)."""
        longest = min(self.max_seconds, self.base_seconds * 2.0 ** min(attempt - 1, _LONGEST_EXPONENT))
        return longest * (1 - chance / 2)
