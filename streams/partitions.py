"""Where a thread lives in the log, and how an entry's place there becomes one number."""

from zlib import crc32

from streams.errors import PositionOverflow

SEQUENCE_BITS = 20
SEQUENCE_LIMIT = 1 << SEQUENCE_BITS

START = 0
"""The position before the first entry of a partition."""


def thread_of(sender: str, contact: str) -> str:
    """Name a thread: our address, then the contact's. Either may be anything Twilio calls an address."""
    return f"{sender}|{contact}"


def addresses_of(thread: str) -> tuple[str, str]:
    """Our address and the contact's."""
    sender, _, contact = thread.partition("|")
    return sender, contact


def partition_of(thread: str, partitions: int) -> int:
    """
    Place a thread on one partition, for ever.

    The hash is crc32 and not Python's own: another hash would reorder every conversation in flight.
    """
    return crc32(thread.encode()) % partitions


def partition_subject(partition: int) -> str:
    """The subject of an event that concerns a whole partition, such as a tick."""
    return f"partition/{partition}"


def position_of_entry_id(entry_id: str) -> int:
    """Turn a Redis entry id, `milliseconds-sequence`, into a position."""
    milliseconds, _, sequence = entry_id.partition("-")
    if int(sequence) >= SEQUENCE_LIMIT:
        raise PositionOverflow(entry_id)
    return int(milliseconds) << SEQUENCE_BITS | int(sequence)


def entry_id_of_position(position: int) -> str:
    """Turn a position back into the Redis entry id."""
    return f"{position >> SEQUENCE_BITS}-{position & (SEQUENCE_LIMIT - 1)}"


def milliseconds_of_position(position: int) -> int:
    """The append time that a Redis position carries, in milliseconds since 1970."""
    return position >> SEQUENCE_BITS


def partition_of_subject(subject: str, partitions: int) -> int:
    """The partition of an event: the one its subject names, or that of its thread."""
    kind, _, number = subject.partition("/")
    if kind == "partition" and number.isdigit() and int(number) < partitions:
        return int(number)
    return partition_of(subject, partitions)
