"""A tick finds the threads that are due, all of them and no other."""

import pytest

from projections import folding
from projections import projector as projector_module
from projections.conversation import evolve
from projections.database import Connection, Database, sql
from projections.folding import Fold
from projections.rows import FoldRows, rows_of
from projections.state import PartitionState, ThreadState
from streams.errors import ReadModelUnavailable
from streams.events import ClockAdvanced, Event, PolicyChanged
from tests.projections.faults import FaultyDatabase, Statements
from tests.projections.read_model import HOUR_MS, MINUTE_MS, Log, Projecting, assert_means, dump, thread_in

THREADS = tuple(thread_in(0, number) for number in range(20))
ELSEWHERE = thread_in(1)


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every fold of an event into a thread, as it happens: the event's name and the thread."""
    seen: list[tuple[str, str]] = []

    def counting(state: ThreadState, event: Event, partition: PartitionState) -> ThreadState:
        seen.append((event.data.name, state.thread))
        return evolve(state, event, partition)

    monkeypatch.setattr(folding, "evolve", counting)
    return seen


async def test_a_tick_touches_just_the_due_threads(
    database: Database, projecting: Projecting, folded: list[tuple[str, str]]
) -> None:
    log = Log()
    for number, thread in enumerate(THREADS):
        log.receive(thread, f"SM{number}")
        log.wait(HOUR_MS)
    log.receive(ELSEWHERE, "SM-elsewhere")
    await projecting.catch_up(log.records)
    before = {row["thread"]: row for row in (await dump(database))["threads"]}
    folded.clear()
    log.wait(48 * HOUR_MS - 17 * HOUR_MS)
    log.tick(0)
    await projecting.catch_up(log.records)

    due = set(THREADS[:4])
    assert folded == [("clock.ticked", thread) for thread in THREADS[:4]]
    after = await dump(database)
    assert {row["thread"] for row in after["threads"] if row != before[row["thread"]]} == due
    assert {row["thread"] for row in after["conversations"] if row["status"] == "expired"} == due
    assert {row["thread"] for row in after["dead_letters"]} == due


async def test_a_tick_finds_threads_that_its_own_batch_has_just_touched(
    database: Database, projecting: Projecting, folded: list[tuple[str, str]]
) -> None:
    """Also those whose deadline the batch moved, and those that a tick of the batch has already served."""
    log = Log()
    log.add_to_partition(PolicyChanged(expire_pending_after_minutes=10), 0)
    log.receive(THREADS[0], "SM0")
    log.receive(THREADS[1], "SM1")
    log.tick(0)
    log.wait(9 * MINUTE_MS)
    log.receive(THREADS[1], "SM1b")
    log.tick(0)
    log.wait(MINUTE_MS)
    log.tick(0)
    log.tick(0)
    log.receive(THREADS[0], "SM0b")
    log.wait(10 * MINUTE_MS)
    log.tick(0)

    await projecting.catch_up(log.records)

    ticked = [thread for name, thread in folded if name == "clock.ticked"]
    assert sorted(ticked) == sorted([THREADS[0], THREADS[1], THREADS[0]])
    await assert_means(database, log.records)


async def test_however_many_are_due_only_some_are_in_memory_at_once(
    database: Database, projecting: Projecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a long outage, when most are; some of them are still cached, and one is named in the batch of the tick."""
    at_once: list[int] = []
    monkeypatch.setattr(projector_module, "DUE_AT_ONCE", 3)

    def counting(fold: Fold) -> FoldRows:
        at_once.append(len(fold.threads))
        return rows_of(fold)

    log = Log()
    for number, thread in enumerate(THREADS):
        log.receive(thread, f"SM{number}")
    await Projecting(database).catch_up(log.records[:-5])
    await projecting.catch_up(log.records)
    monkeypatch.setattr(projector_module, "rows_of", counting)
    log.wait(49 * HOUR_MS)
    log.tick(0)
    log.receive(THREADS[0], "SM-late")
    log.add_to_partition(PolicyChanged(expire_pending_after_minutes=1), 0)
    log.wait(HOUR_MS)
    log.tick(0)
    await projecting.projector.project(log.records[len(THREADS) :])
    assert at_once == [1, *[3] * 6, 1]
    await assert_means(database, log.records)
    for thread in THREADS:
        log.receive(thread, f"SM-again-{thread}")
    await projecting.projector.project(log.records[-len(THREADS) :])
    await assert_means(database, log.records)


async def test_a_projector_that_ends_amid_many_due_threads_has_written_none_of_them(
    read_model_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projector_module, "DUE_AT_ONCE", 3)
    database = FaultyDatabase(read_model_url)
    log = Log()
    for number, thread in enumerate(THREADS):
        log.receive(thread, f"SM{number}")
    await Projecting(database).catch_up(log.records)
    before = await dump(database)
    log.wait(49 * HOUR_MS)
    log.tick(0)
    projecting = Projecting(database)
    await projecting.catch_up([])

    async def fail(_: Connection) -> None:
        raise ReadModelUnavailable("in the middle")

    database.watch(Statements(9, fail))
    with pytest.raises(ReadModelUnavailable):
        await projecting.projector.project(log.records[-1:])
    database.watch(None)
    assert await dump(database) == before
    await projecting.catch_up(log.records)
    await assert_means(database, log.records)
    await database.close()


async def test_an_advance_of_the_clock_is_a_tick(database: Database, projecting: Projecting) -> None:
    log = Log()
    log.receive(THREADS[0], "SM0")
    log.add_to_partition(ClockAdvanced(offset_ms=49 * HOUR_MS), 0)

    await projecting.catch_up(log.records)

    assert [row["status"] for row in (await dump(database))["conversations"]] == ["expired"]


async def test_a_late_or_repeated_tick_changes_no_row_of_a_thread(database: Database, projecting: Projecting) -> None:
    log = Log()
    log.receive(THREADS[0], "SM0")
    log.wait(49 * HOUR_MS)
    log.tick(0)
    await projecting.catch_up(log.records)
    before = await dump(database)
    log.add_bytes(log.records[-1].value, 0)
    log.tick(0)
    log.now_ms -= 48 * HOUR_MS
    log.tick(0)

    await projecting.catch_up(log.records)

    after = await dump(database)
    assert {table: after[table] for table in ("threads", "conversations", "dead_letters")} == {
        table: before[table] for table in ("threads", "conversations", "dead_letters")
    }


async def test_what_is_due_is_found_by_an_index(database: Database) -> None:
    async with database.transaction(readonly=True) as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch(f"EXPLAIN {sql('load_due_threads')}", 0, 0, [])
    assert "threads_due" in "\n".join(row[0] for row in plan)


async def test_many_ticks_in_one_batch_cost_what_is_due_and_not_what_is_loaded(
    database: Database, projecting: Projecting, folded: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = 0
    deadline_ms = folding.deadline_ms

    def counting(state: ThreadState) -> int | None:
        nonlocal looked_at
        looked_at += 1
        return deadline_ms(state)

    monkeypatch.setattr(folding, "deadline_ms", counting)
    log = Log()
    for number in range(300):
        log.receive(thread_in(0, number % 20), f"SM{number}")
    for _ in range(300):
        log.tick(0)

    await projecting.catch_up(log.records)

    assert looked_at <= 2 * 300
    assert [name for name, _ in folded].count("clock.ticked") == 0
