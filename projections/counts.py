"""How much of what stands in the read model: what its gauges show."""

from collections.abc import Mapping
from dataclasses import dataclass

from projections.database import Connection, Database, sql

EVERY_SECONDS = 10.0
LARGEST_SHARE = 0.01
"""Of all time at most so much is spent counting: the larger the tables, the rarer it is done."""


def pause_after(took_seconds: float) -> float:
    """How long to wait after a count that took so long."""
    return max(EVERY_SECONDS, took_seconds / LARGEST_SHARE)


@dataclass(frozen=True, slots=True)
class Counts:
    """
    Open dead letters by group, and what waits.

    `unanswered` counts threads that wait for the AI, `unsent` those with an accepted reply; the ages are of the oldest, in
    seconds, 0 where nothing waits.
    """

    dead_letters: Mapping[str, float]
    skipped_events: float
    unconfirmed_replies: float
    unanswered: float
    oldest_unanswered_seconds: float
    unsent: float
    oldest_unsent_seconds: float


async def count_conversations(connection: Connection) -> Mapping[str, int]:
    """By status, from the whole table. Raises what the database raises."""
    return {row["status"]: row["number"] for row in await connection.fetch(sql("count_conversations"))}


async def count(database: Database) -> Counts:
    """Count what waits, in one statement that reads little. Raises what the database raises."""
    async with database.transaction(readonly=True) as connection:
        rows = await connection.fetch(sql("count_waiting"))
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        found.setdefault(row["what"], {})[row["label"]] = row["value"]

    def single(what: str) -> float:
        return max(0.0, found.get(what, {}).get("", 0.0))

    return Counts(
        dead_letters=found.get("dead letters", {}),
        skipped_events=single("skipped events"),
        unconfirmed_replies=single("unconfirmed replies"),
        unanswered=single("unanswered"),
        oldest_unanswered_seconds=single("oldest unanswered"),
        unsent=single("unsent"),
        oldest_unsent_seconds=single("oldest unsent"),
    )
