"""`prosa conversations`, `prosa clock` and `prosa status`, typed by a person beside a running system."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from commands import numbers
from streams.engines.redis_log import RedisEventLog
from streams.partitions import thread_of
from tests.acceptance.running import PROSA, clean_environment, prosa
from tests.operations.system import CONTACT, System, a_system
from tests.simulator import stand_in as twilio

NOBODY = {"REDIS_URL": "redis://127.0.0.1:1/0", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b2J [bold]plain[/bold]\u202e"


class Terminal:
    """One folder in which commands are typed."""

    def __init__(self, system: System, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            "REDIS_URL": system.settings.redis_url.get_secret_value(),
            "DATABASE_URL": system.settings.database_url.get_secret_value(),
            "STREAM_PARTITIONS": str(system.settings.stream_partitions),
        }

    async def __call__(self, *arguments: str, **settings: str) -> tuple[int, str]:
        return await prosa(*arguments, directory=self.directory, **{**self.environment, **settings})

    async def json(self, *arguments: str) -> Any:
        code, output = await self(*arguments, "--json")
        assert code == 0, output
        return json.loads(output)


@pytest.fixture
async def system(redis_url: str, database_url: str) -> AsyncIterator[System]:
    async with a_system(redis_url, database_url) as made:
        yield made


@pytest.fixture
async def terminal(system: System, tmp_path: Path) -> Terminal:
    return Terminal(system, tmp_path)


async def answered(system: System, body: str = "Olá") -> str:
    """The contact writes, and the AI answers; the conversation's id."""
    await system.write(body)
    await system.has_received(system.model.text)
    await system.comes_to(lambda state: state.conversation and state.conversation.status == "active")
    return (await system.conversation()).id


async def test_a_person_takes_over_answers_gives_back_and_closes(system: System, terminal: Terminal) -> None:
    conversation = await answered(system)
    code, told = await terminal("conversations", "take", CONTACT, "--by", "ana")
    assert (code, told.split(": ")[0]) == (0, conversation)
    assert "taken by ana" in told
    code, told = await terminal("conversations", "reply", conversation, "Ana here.", "--by", "ana")
    assert (code, told) == (0, "read: Ana here.\n") or (code, told) == (0, "delivered: Ana here.\n")
    assert await system.phone() == [system.model.text, "Ana here."]
    assert "released by maria" in (await terminal("conversations", "release", conversation, "--by", "maria"))[1]
    assert "status active → closed by carlos" in (await terminal("conversations", "close", conversation, "--by", "carlos"))[1]
    code, told = await terminal("conversations", "reply", conversation, "Hello?")
    assert (code, told) == (
        1,
        f"prosa: conversation {conversation} was closed by carlos; the contact's next message opens another one\n",
    )
    assert "closed by carlos" in (await terminal("conversations", "list"))[1]
    _, shown = await terminal("conversations", "show", conversation)
    assert "closed by carlos" in shown.splitlines()[0]
    assert "status handoff → active, released by maria" in shown
    assert "status active → closed by carlos" in shown
    assert "open until" not in shown
    assert (await terminal.json("conversations", "show", conversation))["conversation"]["closer"] == "carlos"


async def test_what_a_colleague_has_is_taken_by_force_only(system: System, terminal: Terminal) -> None:
    conversation = await answered(system)
    assert (await terminal("conversations", "take", conversation, "--by", "maria"))[0] == 0
    before = await system.connection.log.heads()
    code, told = await terminal("conversations", "take", conversation, "--by", "ana")
    assert (code, told) == (1, f"prosa: maria has conversation {conversation}; to take it over all the same: --force\n")
    assert await terminal("conversations", "take", conversation, "--by", "maria") == (0, f"{conversation}: it is yours already\n")
    assert await system.connection.log.heads() == before
    code, told = await terminal("conversations", "take", conversation, "--by", "ana", "--force")
    assert (code, "taken by ana, was with maria" in told) == (0, True)


async def test_who_stops_waiting_for_a_reply_is_told_that_it_is_recorded(system: System, terminal: Terminal) -> None:
    """Whoever was told nothing would say it again."""
    conversation = await answered(system)
    await system.twilio.break_down(callbacks={"lost_rate": 1.0})
    process = await asyncio.create_subprocess_exec(
        PROSA,
        *("conversations", "reply", conversation, "Ana here.", "--by", "ana", "--wait", "60"),
        cwd=terminal.directory,
        env=clean_environment(**terminal.environment),
        stderr=asyncio.subprocess.PIPE,
    )
    await system.comes_to(lambda state: any(each.parts[0].text == "Ana here." for each in state.replies))
    process.send_signal(signal.SIGINT)
    _, told = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, "recorded" in told.decode(), "Traceback" in told.decode()) == (130, True, False)


async def test_the_largest_numbers_that_are_taken_fit_what_is_reckoned_from_them(terminal: Terminal) -> None:
    limit, page, hours = str(numbers.MOST_SHOWN), str(numbers.LAST_PAGE), str(numbers.LONGEST_AGO_HOURS)
    for command in (
        ("conversations", "list", "--limit", limit, "--page", page),
        ("dead-letters", "list", "--limit", limit),
        ("sends", "list", "--limit", limit, "--hours", hours),
    ):
        assert (await terminal(*command))[0] == 0


async def test_what_is_listed_and_shown_is_there_for_scripts_too(system: System, terminal: Terminal) -> None:
    conversation = await answered(system)
    _, listed = await terminal("conversations", "list")
    assert conversation in listed
    assert CONTACT.removeprefix("whatsapp:") in listed
    [row] = await terminal.json("conversations", "list", "--status", "active")
    assert (row["id"], row["status"], row["thread"]) == (conversation, "active", thread_of(twilio.SENDER, CONTACT))
    assert (await terminal("conversations", "list", "--status", "closed"))[1] == "No conversations.\n"
    _, shown = await terminal("conversations", "show", conversation[:24])
    assert "contact: Olá" in shown
    assert f"AI: {system.model.text}" in shown
    assert "message.received" in shown
    found = await terminal.json("conversations", "show", conversation)
    assert [said["author"] for said in found["said"]] == ["contact", "AI"]
    assert found["steps"][0]["name"] == "message.received"


async def test_no_message_steers_the_terminal_of_who_reads_it(system: System, terminal: Terminal) -> None:
    conversation = await answered(system, HOSTILE)
    process = await asyncio.create_subprocess_exec(
        PROSA,
        *("conversations", "show", conversation),
        cwd=terminal.directory,
        env=clean_environment(**terminal.environment, FORCE_COLOR="1"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    shown = output.decode()
    assert "red" in shown
    assert "[bold]plain[/bold]" in shown
    assert not [each for each in shown if each != "\n" and (ord(each) < 32 or 127 <= ord(each) < 160 or each == "\u202e")]


async def test_the_clock_is_moved_and_silence_shows(system: System, terminal: Terminal) -> None:
    conversation = await answered(system)
    assert await terminal("clock", "advance", "20m") == (0, "It is 20m later; in all, log time runs 20 min ahead.\n")
    assert (await terminal.json("conversations", "list"))[0]["status"] == "idle"
    assert (await terminal("clock", "advance", "1.5d"))[1].endswith("log time runs 1 d 12 h 20 min ahead.\n")
    assert (await terminal.json("conversations", "list"))[0]["status"] == "expired"
    code, told = await terminal("conversations", "take", conversation)
    assert (code, told.startswith(f"prosa: conversation {conversation} has expired")) == (1, True)


@pytest.mark.parametrize("length", ["20", "-20m", "twenty", "", "20 min", "0.5.5h", "0m", "0.0d"])
async def test_a_length_that_is_none_is_named(length: str, tmp_path: Path) -> None:
    code, told = await prosa("clock", "advance", "--", length, directory=tmp_path)
    assert (code, "LENGTH" in told) == (2, True)


async def test_the_clock_of_a_log_that_is_served_in_production_stays_as_it_is(system: System, terminal: Terminal) -> None:
    """Also where the person's own settings are those of development."""
    url = terminal.environment["REDIS_URL"]
    serving = RedisEventLog(url, partitions=system.settings.stream_partitions, production=True, vouched=True)
    await serving.start()
    await serving.close()
    before = await system.connection.log.heads()
    code, told = await terminal("clock", "advance", "20m")
    assert (code, told) == (1, "prosa: this log is served in production, where nobody moves the clock\n")
    assert await system.connection.log.heads() == before


async def test_the_status_of_a_running_system(system: System, terminal: Terminal) -> None:
    await answered(system)
    code, told = await terminal("status")
    assert code == 0
    for expected in ("projector", "responder", "sender", "1 active", "last tick", "dead letters"):
        assert expected in told
    assert max(map(len, told.splitlines())) < 100
    found = await terminal.json("status")
    assert set(found) == {"log", "read_model", "problems"}
    assert found["problems"] == {}
    assert (found["log"]["partitions"], found["log"]["unserved"]) == (2, [])
    assert set(found["log"]["lags"]) == {"projector", "responder", "sender"}
    assert set(found["log"]["lags"]["sender"]["1"]) == {"position", "events", "seconds"}
    assert found["read_model"]["conversations"] == {"active": 1}


async def test_the_status_of_nothing_says_what_is_missing(tmp_path: Path) -> None:
    code, told = await prosa("status", directory=tmp_path, **NOBODY)
    assert code == 1
    assert [line.partition(":")[0] for line in told.splitlines()] == ["the log", "the read model"]
    code, told = await prosa("status", "--json", directory=tmp_path, **NOBODY)
    assert (code, json.loads(told)["log"]) == (1, None)


async def test_half_a_system_is_shown_by_half(system: System, terminal: Terminal) -> None:
    await answered(system)
    code, told = await terminal("status", REDIS_URL=NOBODY["REDIS_URL"])
    assert (code, "the log:" in told, "1 active" in told) == (1, True, True)
    assert (await terminal("conversations", "list", REDIS_URL=NOBODY["REDIS_URL"]))[0] == 0
    code, told = await terminal("conversations", "take", CONTACT, REDIS_URL=NOBODY["REDIS_URL"])
    assert (code, told.startswith("prosa: the log: ")) == (1, True)


@pytest.mark.parametrize("form", [(), ("--json",)])
async def test_watching_ends_quietly(form: tuple[str, ...], system: System, terminal: Terminal) -> None:
    process = await asyncio.create_subprocess_exec(
        PROSA,
        *("status", "--watch", *form),
        cwd=terminal.directory,
        env=clean_environment(**terminal.environment, TERM="xterm", FORCE_COLOR="1"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    first = await asyncio.wait_for(process.stdout.readline(), 20)
    if form:
        second = await asyncio.wait_for(process.stdout.readline(), 20)
        assert all(json.loads(line)["problems"] == {} for line in (first, second))
    process.send_signal(signal.SIGINT)
    _, complaints = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, complaints) == (0, b"")


async def test_who_watches_through_a_pipe_reads_each_table_as_it_comes_and_ends_it_by_going_away(
    system: System, terminal: Terminal
) -> None:
    process = await asyncio.create_subprocess_exec(
        PROSA,
        *("status", "--watch"),
        cwd=terminal.directory,
        env=clean_environment(**terminal.environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    for _ in range(2):
        await asyncio.wait_for(process.stdout.readuntil(b"GROUP"), 20)
    process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # asyncio has no public way
    _, complaints = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, complaints) == (0, b"")


async def test_the_status_is_not_folded_where_no_terminal_sets_a_width(system: System, terminal: Terminal) -> None:
    shown = (await terminal("status", COLUMNS="30"))[1].splitlines()
    assert any(line.startswith("unanswered") and line.rstrip().endswith("by a person") for line in shown), shown
