"""The names under which the log stands in Redis."""

META_KEY = "prosa:meta"
FIELD = b"event"
NO_STREAM = "prosa:log:none"
"""The key of a stream that nobody ever makes: an append to it is refused like any other, and else changes nothing."""
FIRST_EPOCH = 1


def stream_key(partition: int, epoch: int = FIRST_EPOCH) -> str:
    """The Redis key of a partition: the first generation has the plain name, each later one its own."""
    return f"prosa:log:{partition}" if epoch == FIRST_EPOCH else f"prosa:log:{epoch}:{partition}"


def rewriting_key(partition: int, epoch: int) -> str:
    """Where a repair writes a generation. It becomes `stream_key` in the step that begins it, so what is called that was live."""
    return f"prosa:rewriting:{epoch}:{partition}"


def retired_key(partition: int, epoch: int) -> str:
    """Where a generation is kept after a newer one has begun; nothing reads it."""
    return f"prosa:retired:{epoch}:{partition}"
