"""What a handler does with the log and the projection, while one of them is away."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from structlog.testing import capture_logs

from handlers.journal import PAUSES, Journal, Patience, patiently
from projections.database import Connection, Database
from projections.progress import Progress
from projections.reader import Reader
from streams.engines.memory import MemoryEventLog
from streams.errors import ConfigurationError, LogUnavailable, ReadModelUnavailable
from streams.events import AttemptFailed, Event
from streams.log import Appended
from tests.handlers.world import World, eventually, thread_of

ANA = thread_of(1)
WAITING = 200
FACT = AttemptFailed(event="e", group="test", error="ValueError")


class AwayDatabase(Database):
    """Away while a test says so."""

    is_away = False

    @asynccontextmanager
    async def transaction(self, *, readonly: bool = False) -> AsyncIterator[Connection]:
        if self.is_away:
            raise ReadModelUnavailable("ConnectionRefusedError")
        async with super().transaction(readonly=readonly) as connection:
            yield connection


class FlakyLog:
    """The same log by a bad wire: appends fail before they are made, or after."""

    def __init__(self, log: MemoryEventLog) -> None:
        self._log = log
        self.failures: list[str] = []
        self.tries = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, event: Event) -> Appended:
        self.tries += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure == "before":
            raise LogUnavailable("ConnectionError")
        appended = await self._log.append(event)
        if failure == "after":
            raise LogUnavailable("TimeoutError")
        return appended


async def test_an_outcome_is_seen_once_it_is_recorded(world: World) -> None:
    written = await world.write(ANA)
    view = await world.journal().record(FACT, cause=written.event)
    assert view.state is not None
    assert view.state.attempts[0].failed == 1


async def test_an_outcome_continues_its_cause(world: World) -> None:
    written = await world.write(ANA)
    await world.journal("prosa/test").record(FACT, cause=written.event)
    (row,) = await world.rows("SELECT correlation_id, event FROM events WHERE type = 'prosa.attempt.failed.v1'")
    assert row["correlation_id"] == written.event.correlation_id
    assert f'"causationid":"{written.event.id}"' in row["event"]
    assert '"source":"prosa/test"' in row["event"]


@pytest.mark.parametrize("failure", ["before", "after"])
async def test_a_log_that_fails_is_waited_for_and_what_it_took_twice_counts_once(world: World, failure: str) -> None:
    log = FlakyLog(world.log)
    log.failures = [failure]
    journal = Journal(log, world.progress, Reader(world.database), source="test")
    written = await world.write(ANA)
    with capture_logs() as lines:
        view = await journal.record(FACT, cause=written.event)
    assert view.state is not None
    assert view.state.attempts[0].failed == 1
    assert [(line["event"], line.get("kind")) for line in lines if "kind" in line] == [
        ("outage.begun", "LogUnavailable"),
        ("outage.ended", "LogUnavailable"),
    ]


async def test_postgres_is_waited_for_and_one_line_tells_however_many_wait(world: World, handlers_database_url: str) -> None:
    database = AwayDatabase(handlers_database_url)
    journal = Journal(world.log, Progress(database), Reader(database), source="test")
    written = await world.write(ANA)
    database.is_away = True
    with capture_logs() as lines:
        looking = [asyncio.create_task(journal.look(ANA, written.at.position)) for _ in range(50)]
        await eventually(lambda: any("kind" in line for line in lines))
        assert not any(task.done() for task in looking)
        database.is_away = False
        views = await asyncio.gather(*looking)
    assert all(view.position >= written.at.position for view in views)
    assert [line["event"] for line in lines if line.get("kind")] == ["outage.begun", "outage.ended"]
    await database.close()


async def test_a_second_outage_is_told_again(world: World, handlers_database_url: str) -> None:
    database = AwayDatabase(handlers_database_url)
    journal = Journal(world.log, Progress(database), Reader(database), source="test")
    with capture_logs() as lines:
        for _ in range(2):
            database.is_away = True
            looking = asyncio.create_task(journal.look(ANA))
            await eventually(lambda: len(lines) % 2)
            database.is_away = False
            await looking
    assert [line["event"] for line in lines] == ["outage.begun", "outage.ended"] * 2
    await database.close()


async def test_who_waits_may_be_cancelled(world: World, handlers_database_url: str) -> None:
    database = AwayDatabase(handlers_database_url)
    database.is_away = True
    journal = Journal(world.log, Progress(database), Reader(database), source="test")
    looking = asyncio.create_task(journal.look(ANA))
    with capture_logs() as lines:
        await eventually(lambda: lines)
    looking.cancel()
    await asyncio.wait([looking])
    assert looking.cancelled()


@dataclass
class Server:
    """A log that is there while a test says so; `tries` counts the calls."""

    is_away: bool = True
    tries: int = 0

    async def call(self) -> None:
        self.tries += 1
        if self.is_away:
            raise LogUnavailable("no connection")

    async def seen_by_another(self) -> None:
        tries = self.tries
        await eventually(lambda: self.tries > tries)


def told(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    return [line["event"] for line in lines if line.get("kind")]


async def test_an_outage_whose_last_waiter_was_cancelled_does_not_hide_the_next_one() -> None:
    patience, server = Patience(), Server()
    with capture_logs() as lines:
        for _ in range(2):
            server.is_away = True
            waiter = asyncio.create_task(patience.until_done(server.call))
            await server.seen_by_another()
            waiter.cancel()
            await asyncio.wait([waiter])
            server.is_away = False
            await patience.until_done(server.call)
    assert told(lines) == ["outage.begun"] * 2


async def test_who_is_cancelled_leaves_the_outage_to_the_others_who_wait() -> None:
    patience, server = Patience(), Server()
    with capture_logs() as lines:
        waiting = [asyncio.create_task(patience.until_done(server.call)) for _ in range(3)]
        await eventually(lambda: server.tries >= 3)
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        late = asyncio.create_task(patience.until_done(server.call))
        await server.seen_by_another()
        server.is_away = False
        await asyncio.gather(*waiting[1:], late)
    assert told(lines) == ["outage.begun", "outage.ended"]


async def test_who_missed_an_outage_and_succeeds_late_calls_no_later_one_over() -> None:
    patience, server, may_answer, is_asked = Patience(), Server(), asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        """Away at first; then it answers, when a test says so."""
        if server.is_away:
            await server.call()
        is_asked.set()
        await may_answer.wait()

    with capture_logs() as lines:
        slow, quick = (asyncio.create_task(patience.until_done(act)) for act in (slowly, server.call))
        await eventually(lambda: server.tries >= 2)
        server.is_away = False
        await asyncio.gather(quick, is_asked.wait())
        server.is_away = True
        waiter = asyncio.create_task(patience.until_done(server.call))
        await server.seen_by_another()
        may_answer.set()
        await slow
        assert told(lines) == ["outage.begun", "outage.ended", "outage.begun"]
        server.is_away = False
        await waiter
    assert told(lines) == ["outage.begun", "outage.ended"] * 2


async def test_a_checkpoint_that_went_back_is_not_believed(world: World) -> None:
    """Postgres lost commits: what was remembered of it is forgotten, and its projector catches up."""
    written = await world.write(ANA)
    await world.view(ANA)
    world.progress.moved({written.at.partition: written.at.position + 1})
    looking = asyncio.create_task(world.journal().look(ANA, written.at.position + 1))
    with capture_logs() as lines:
        await eventually(lambda: lines)
    assert "went back" in lines[0]["reason"]
    assert not looking.done()
    await world.tick(written.at.partition)
    view = await looking
    assert view.position > written.at.position


async def test_a_look_never_shows_less_than_was_asked_for(world: World) -> None:
    journal = world.journal()
    for number in range(20):
        written = await world.write(ANA, str(number))
        view = await journal.look(ANA, written.at.position)
        assert view.state is not None
        assert view.state.unanswered[-1].event == written.event.id


async def test_what_must_stop_the_process_is_not_waited_out() -> None:
    async def misconfigured() -> None:
        raise ConfigurationError("DATABASE_URL")

    with pytest.raises(ConfigurationError):
        await patiently(misconfigured)


async def test_of_the_many_that_wait_for_the_log_one_at_a_time_tries_and_then_all_go_on() -> None:
    """A thousand that each tried by themselves kept a core busy while the log was away."""
    patience, tries, is_away = Patience(), 0, True

    async def act() -> None:
        nonlocal tries
        tries += 1
        if is_away:
            raise LogUnavailable("no connection")

    waiting = [asyncio.create_task(patience.until_done(act)) for _ in range(WAITING)]
    await eventually(lambda: tries == WAITING)
    began = time.monotonic()
    await eventually(lambda: tries >= WAITING + 3)
    assert time.monotonic() - began > sum(PAUSES.pause_seconds(turn, 1.0) for turn in (1, 2, 3)) * 0.9
    waiting.pop(0).cancel()
    is_away = False
    await eventually(lambda: all(task.done() for task in waiting))
    assert tries < 2 * WAITING + 10
