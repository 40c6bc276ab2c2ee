"""The log takes an act and its answer is lost: the act counts once, and who cannot be told so is told to look."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from operations.clock import advance
from operations.connection import Connection
from operations.conversations import Listed, listed
from operations.errors import ActUnconfirmed
from operations.intervention import reply, take
from operations.looking import command_that_shows
from projections.state import Status
from streams.engines.memory import MemoryEventLog
from streams.errors import LogUnavailable
from streams.events import (
    AnyEventData,
    ClockAdvanced,
    DeadLetterDiscarded,
    Event,
    PersonReplied,
    RedriveRequested,
    SendDisproved,
)
from streams.log import Appended
from tests.handlers.world import PARTITIONS, World, events_of, thread_of
from tests.operations.system import CONTACT, a_system
from tests.operations.test_commands import Terminal

THREAD = thread_of(0, 0)


class AnswersAreLost:
    """The log takes whatever is appended; the answers to the first `lost` appends of an event never arrive."""

    def __init__(self, log: MemoryEventLog, *, lost: float) -> None:
        self._append = log.append
        self._lost = lost
        self.times = dict[str, int]()

    async def append(self, event: Event) -> Appended:
        appended = await self._append(event)
        self.times[event.id] = self.times.get(event.id, 0) + 1
        if self.times[event.id] <= self._lost:
            raise LogUnavailable("TimeoutError: 127.0.0.1:6379 (REDIS_URL)")
        return appended


@pytest.fixture
async def asked(world: World, connection: Connection) -> Listed:
    """A conversation in which the contact has written."""
    await world.write(THREAD)
    await world.state(THREAD)
    [found] = await listed(connection)
    return found


@pytest.fixture
def losing(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], AnswersAreLost]:
    def lose(lost: float) -> AnswersAreLost:
        between = AnswersAreLost(world.log, lost=lost)
        monkeypatch.setattr(world.log, "append", between.append)
        return between

    return lose


Losing = Callable[[float], AnswersAreLost]


async def test_a_persons_answer_that_the_log_took_and_did_not_confirm_is_sent_once(
    world: World, connection: Connection, asked: Listed, losing: Losing
) -> None:
    between = losing(2)
    _, said = await reply(connection, asked, "Ana here.", by="ana")
    assert list(between.times.values()) == [3]
    assert [(each.id, each.by) for each in await world.replies(THREAD)] == [(said, "ana")]


async def test_an_act_that_the_log_took_and_did_not_confirm_counts_once(
    world: World, connection: Connection, asked: Listed, losing: Losing
) -> None:
    losing(1)
    act = await take(connection, asked, by="ana")
    assert (act.conversation.status, act.changes[:2]) == (Status.HANDOFF, ("status pending → handoff", "taken by ana"))


async def test_the_clock_is_as_far_ahead_as_it_was_asked_to_be(world: World, connection: Connection, losing: Losing) -> None:
    """Its own repetition is not taken for another's advance."""
    losing(1)
    assert await advance(connection, timedelta(minutes=20)) == timedelta(minutes=20)
    for partition in range(PARTITIONS):
        told = [event.data for event in await events_of(world.log, partition) if isinstance(event.data, ClockAdvanced)]
        assert {data.offset_ms for data in told} == {20 * 60_000}


async def test_who_cannot_be_told_whether_an_answer_counts_is_told_where_to_look(
    world: World, asked: Listed, losing: Losing
) -> None:
    losing(float("inf"))
    impatient = Connection(world.log, world.database, append_seconds=0.3)
    with pytest.raises(ActUnconfirmed) as raised:
        await reply(impatient, asked, "Ana here.", by="ana")
    told = str(raised.value)
    assert "TimeoutError" in told
    assert "may have been written" in told
    assert f"before you repeat it, look once the log answers again: prosa conversations show {asked.id}" in told
    assert [each.parts[0].text for each in await world.replies(THREAD)] == ["Ana here."], "and it does count, once"


async def test_where_the_log_cannot_be_joined_nothing_was_written_and_nothing_is_tried_again(
    world: World, connection: Connection, losing: Losing, monkeypatch: pytest.MonkeyPatch
) -> None:
    between = losing(0)

    async def refuse() -> None:
        raise LogUnavailable("no connection: 127.0.0.1:6379 (REDIS_URL)")

    monkeypatch.setattr(world.log, "join", refuse)
    with pytest.raises(LogUnavailable):
        await connection.append(PersonReplied(reply="r1", parts=("Ana here.",), by="ana"), subject=THREAD)
    assert between.times == {}


@asynccontextmanager
async def answers_to_appends_lost(redis_url: str, lost: int) -> AsyncIterator[str]:
    """The URL of a way to the server on which the first `lost` connections with an append go silent behind it."""
    server = urlsplit(redis_url)
    remaining = lost

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_silent: asyncio.Event) -> None:
        nonlocal remaining
        while found := await reader.read(65_536):
            if b"XADD" in found and remaining:
                remaining -= 1
                is_silent.set()
            writer.write(found)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_silent: asyncio.Event) -> None:
        while found := await reader.read(65_536):
            if not is_silent.is_set():
                writer.write(found)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_silent = asyncio.Event()
        there, back = await asyncio.open_connection(server.hostname, server.port)
        answering = asyncio.create_task(answer(there, writer, is_silent))
        with suppress(OSError):
            await pass_on(reader, back, is_silent)
        answering.cancel()
        back.close()
        writer.close()

    async with await asyncio.start_server(connect, "127.0.0.1", 0) as proxy:
        place = f"{server.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        yield urlunsplit(server._replace(netloc=place.removeprefix("@")))


async def test_an_answer_that_is_typed_while_the_network_loses_the_servers_is_read_once(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    async with a_system(redis_url, database_url) as system, answers_to_appends_lost(redis_url, 1) as lossy_url:
        await system.write("Olá")
        await system.has_received(system.model.text)
        terminal = Terminal(system, tmp_path)
        code, told = await terminal("conversations", "reply", CONTACT, "Ana here.", "--wait", "60", REDIS_URL=lossy_url)
        assert (code, told.endswith(": Ana here.\n")) == (0, True), told
        assert await system.phone() == [system.model.text, "Ana here."]


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (PersonReplied(reply="r1", parts=("Hello.",), by="ana", conversation="01K"), "prosa conversations show 01K"),
        (RedriveRequested(event="01E", group="sender", by="ana"), "prosa dead-letters show 01E"),
        (DeadLetterDiscarded(event="01E", group="sender", by="ana"), "prosa dead-letters show 01E"),
        (SendDisproved(reply="r1", part=0, attempt="a1"), "prosa sends list"),
        (ClockAdvanced(offset_ms=1), "prosa status"),
    ],
)
def test_each_act_has_a_command_that_shows_whether_it_counts(data: AnyEventData, command: str) -> None:
    assert command_that_shows(data) == command
