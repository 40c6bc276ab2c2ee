"""
When a contact wrote, where that is not when the log heard of it.

Log time is the one clock of the state, and nobody's wall clock reaches it. The reconciler's messages alone tell, in the
envelope's `time`, when Twilio took them: WhatsApp's window counts from there, and a goodbye that was overtaken ends nothing.
"""

from datetime import UTC, datetime, timedelta

from projections.state import PartitionState
from streams.events import Event

RECONCILER = "prosa/reconciler"
"""The source of a message that Twilio listed and no webhook brought."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def written_at_ms(event: Event, partition: PartitionState) -> int:
    """
    When the contact wrote, in log time: now, or as long ago as Twilio's date lies before the append. Never later than now.

    An offset of the development clock counts as if it had been there all the while.
    """
    if event.source != RECONCILER:
        return partition.log_time_ms
    return partition.log_time_ms - late_ms(event, partition.appended_at_ms)


def late_ms(event: Event, appended_at_ms: int) -> int:
    """How long before the append the contact wrote what the reconciler fetched."""
    told = event.time if event.time.tzinfo else event.time.replace(tzinfo=UTC)
    return max(0, appended_at_ms - (told - _EPOCH) // timedelta(milliseconds=1))
