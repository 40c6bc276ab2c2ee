"""How much of what stands in the read model: what its gauges show."""

from collections.abc import Mapping
from dataclasses import dataclass

from projections.database import Database, sql


@dataclass(frozen=True, slots=True)
class Counts:
    """
    Conversations by status, open dead letters by group, and what waits.

    `unanswered` counts threads that wait for the AI, `unsent` those with an accepted reply; the ages are of the oldest, in
    seconds, 0 where nothing waits.
    """

    conversations: Mapping[str, float]
    dead_letters: Mapping[str, float]
    skipped_events: float
    unconfirmed_replies: float
    unanswered: float
    oldest_unanswered_seconds: float
    unsent: float
    oldest_unsent_seconds: float


async def count(database: Database) -> Counts:
    """Count once, in one statement. Raises what the database raises."""
    async with database.transaction(readonly=True) as connection:
        rows = await connection.fetch(sql("count_read_model"))
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        found.setdefault(row["what"], {})[row["label"]] = row["value"]

    def single(what: str) -> float:
        return max(0.0, found.get(what, {}).get("", 0.0))

    return Counts(
        conversations=found.get("conversations", {}),
        dead_letters=found.get("dead letters", {}),
        skipped_events=single("skipped events"),
        unconfirmed_replies=single("unconfirmed replies"),
        unanswered=single("unanswered"),
        oldest_unanswered_seconds=single("oldest unanswered"),
        unsent=single("unsent"),
        oldest_unsent_seconds=single("oldest unsent"),
    )
