"""Entries of one partition come in order; whatever else happens to them on their way changes nothing."""

import random
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.database import Database
from streams.log import Record
from tests.projections.random_log import random_log
from tests.projections.read_model import PARTITIONS, Projecting, assert_means, dump, empty


def deliveries(records: Sequence[Record], dice: random.Random) -> list[list[Record]]:
    """
    The partitions mixed anew, cut into batches, and batches that come again, at once or much later, whole or in part.

    Within a partition what is new comes in its order, as every engine's reader gives it.
    """
    waiting = [[record for record in records if record.partition == partition] for partition in range(PARTITIONS)]
    batches: list[list[Record]] = []
    while any(waiting):
        batch: list[Record] = []
        for partition in dice.sample(range(PARTITIONS), PARTITIONS):
            size = dice.randint(0, 12)
            batch += waiting[partition][:size]
            waiting[partition] = waiting[partition][size:]
        batches.append(batch)
        if dice.random() < 0.5:
            again = dice.choice(batches)
            batches.append(again[dice.randint(0, len(again)) :])
    return batches


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), way=st.integers(0, 10_000))
async def test_partitions_in_any_order_and_batches_that_come_again_end_in_the_same_rows(
    database: Database, seed: int, way: int
) -> None:
    records = random_log(seed, steps=40).records
    await empty(database)
    await Projecting(database).catch_up(records)
    at_once = await dump(database)

    await empty(database)
    projecting = Projecting(database)
    await projecting.catch_up([])
    for batch in deliveries(records, random.Random(way)):  # noqa: S311 - a test's own dice
        await projecting.projector.project(batch)

    assert await dump(database) == at_once
    await assert_means(database, records)
