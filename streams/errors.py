"""
What can go wrong, sorted by what to do about it.

    ProsaError
    ├── TransientError            try again: nothing was decided
    │   ├── LogUnavailable
    │   ├── ReadModelUnavailable
    │   └── LeaseLost
    ├── PermanentError            never succeeds: dead-letter it
    │   ├── UndecodableEvent
    │   └── PositionOverflow
    └── FatalError                stop the process with a non-zero exit
        ├── UnsafeLog
        ├── LogMismatch
        ├── NewerEvent
        ├── CheckpointAhead
        ├── EpochChanged
        └── ConfigurationError

One place decides by branch; handlers only raise. Messages carry identifiers and codes, never text, addresses or secrets.
"""

from typing import ClassVar

EX_CONFIG = 78
"""The exit code of sysexits.h where somebody must act first, so that starting again is of no use."""


class ProsaError(Exception):
    """Anything this system raises on purpose."""


class TransientError(ProsaError):
    """Nothing was decided; the same work may succeed later."""


class PermanentError(ProsaError):
    """The same work can never succeed."""


class FatalError(ProsaError):
    """The process must stop, with this exit code; going on would do harm."""

    exit_code: ClassVar[int] = 1


class LogUnavailable(TransientError):
    """The log did not answer, or refused to write for now."""


class ReadModelUnavailable(TransientError):
    """Postgres did not answer."""


class LeaseLost(TransientError):
    """The partition belongs to another process now."""


class UndecodableEvent(PermanentError):
    """The bytes are no event of any version known here."""


class PositionOverflow(PermanentError):
    """More entries in one millisecond than a position can number."""


class UnsafeLog(FatalError):
    """The server may lose what it acknowledged: it evicts or does not persist."""


class LogMismatch(FatalError):
    """The log was made with another number of partitions, or is another log."""

    exit_code = EX_CONFIG


class NewerEvent(FatalError):
    """The log holds an event of a newer version; only a newer process may read on."""


class CheckpointAhead(FatalError):
    """
    The log is shorter than what was consumed of it, or another: it lost its tail, or everything. `prosa repair` mends it.

    Starting again is of no use before that.
    """

    exit_code = EX_CONFIG


class EpochChanged(FatalError):
    """Another generation of the log has begun; a process that starts anew goes on in it."""


class ConfigurationError(FatalError):
    """A setting is missing or unsafe; the message names it, never its value."""

    exit_code = EX_CONFIG
