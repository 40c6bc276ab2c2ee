"""Why a person's act did not happen, or is not seen yet."""

from streams.errors import PermanentError, TransientError


class ActRefused(PermanentError):
    """What was asked for cannot be done as things stand; nothing was written."""


class NotFoldedYet(TransientError):
    """The act stands in the log, and the projector has not come to it in time; it will."""


class ActUnconfirmed(TransientError):
    """Whether the act stands in the log nobody knows: the log did not tell. It may count, now or later."""


class ActLapsed(PermanentError):
    """The act stands in the log and came to nothing: something else came before it."""
