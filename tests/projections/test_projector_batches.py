"""However the log is cut into batches, the read model is the same."""

from collections.abc import Collection

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections import projector, store
from projections.database import Connection, Database
from projections.state import ThreadState
from projections.store import load_threads
from tests.projections.random_log import random_log
from tests.projections.read_model import Projecting, assert_means, dump, empty

_CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), cuts=_CUTS, forgetful=st.booleans())
async def test_any_cut_into_batches_gives_the_rows_that_one_batch_gives(
    database: Database, seed: int, cuts: list[int], forgetful: bool
) -> None:
    records = random_log(seed).records
    await empty(database)
    await Projecting(database).catch_up(records)
    at_once = await dump(database)

    await empty(database)
    projecting, begin = Projecting(database), 0
    await projecting.catch_up([])
    while begin < len(records):
        for size in cuts:
            await projecting.projector.project(records[begin : begin + size])
            begin += size
            if forgetful:
                await projecting.catch_up([])

    assert await dump(database) == at_once


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), batch=st.integers(1, 80))
async def test_the_read_model_says_what_the_log_says(database: Database, seed: int, batch: int) -> None:
    records = random_log(seed).records
    await empty(database)

    await Projecting(database).catch_up(records, batch=batch)

    await assert_means(database, records)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
async def test_a_batch_that_comes_again_changes_nothing(database: Database, seed: int) -> None:
    records = random_log(seed).records
    await empty(database)
    projecting = Projecting(database)
    await projecting.catch_up(records, batch=20)
    once = await dump(database)

    await projecting.projector.project(records)
    await Projecting(database).catch_up(records)

    assert await dump(database) == once


async def test_threads_of_earlier_batches_are_not_loaded_again(
    database: Database, projecting: Projecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    async def loading(connection: Connection, threads: Collection[str]) -> dict[str, ThreadState]:
        loaded.extend(threads)
        return await load_threads(connection, threads)

    monkeypatch.setattr(store, "load_threads", loading)
    records = random_log(41, steps=200).records

    await projecting.catch_up(records, batch=10)

    assert sorted(loaded) == sorted(set(loaded))
    await assert_means(database, records)


async def test_what_the_cache_had_no_room_for_is_loaded(
    database: Database, projecting: Projecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector, "CACHED_THREADS", 2)
    records = random_log(42, steps=200).records

    await projecting.catch_up(records, batch=5)

    await assert_means(database, records)
