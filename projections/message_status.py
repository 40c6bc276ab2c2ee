"""How far a message came: a lattice, so that callbacks in any order, lost or doubled, end in the same state."""

from dataclasses import replace

from projections.state import Message

_RANK = {
    status: rank
    for rank, status in enumerate(
        (
            "accepted",
            "scheduled",
            "queued",
            "sending",
            "sent",
            "canceled",
            "failed",
            "undelivered",
            "partially_delivered",
            "delivered",
            "read",
        ),
        start=1,
    )
}
FAILURES = frozenset({"failed", "undelivered"})


def merge_status(message: Message, status: str, error_code: int | None) -> Message:
    """
    Join what is known with what was just told.

    A status never goes back; a failure stands unless the message was seen to arrive; an error is never erased by its absence,
    and of two the one with the higher code is kept, so that their order does not matter.
    """
    further = _RANK.get(status, 0) > _RANK.get(message.status, 0)
    return replace(
        message,
        status=status if further else message.status,
        error_code=max((code for code in (message.error_code, error_code) if code is not None), default=None),
    )


UNTOLD_CODE = 0
"""Stands for a failure whose callback named no code."""


def normalised_code(code: int) -> int | None:
    """A failure's code, or None where none was told."""
    return None if code == UNTOLD_CODE else code
