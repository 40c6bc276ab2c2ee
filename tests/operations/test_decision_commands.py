"""`prosa dead-letters` and `prosa sends`, typed by a person beside a running system."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

import commands.dead_letters
from cli import app
from operations.dead_letters import Decision, Letter
from projections.changes import RESPONDER
from projections.state import ReplyStatus
from streams.events import EventDeadLettered
from tests.acceptance.running import prosa
from tests.operations.system import CONTACT, THREAD, System, a_system
from tests.operations.test_commands import HOSTILE, NOBODY, Terminal

SID = f"SM{'0' * 32}"


@pytest.fixture
async def system(redis_url: str, database_url: str) -> AsyncIterator[System]:
    """One in which an absence from Twilio's list proves nothing."""
    given = {"lease_seconds": 1, "twilio_timeout_seconds": 0.5, "send_proof_seconds": 0.1, "send_absence_is_proof": False}
    async with a_system(redis_url, database_url, **given) as made:
        yield made


@pytest.fixture
async def terminal(system: System, tmp_path: Path) -> Terminal:
    return Terminal(system, tmp_path)


async def given_up(system: System, body: str = "Olá") -> str:
    """A message that nobody could answer; the event's id."""
    system.model.gate.clear()
    await system.write(body)
    waiting = await system.comes_to(lambda state: state.unanswered)
    event = waiting.unanswered[-1].event
    letter = EventDeadLettered(event=event, group=RESPONDER, attempts=3, error="ModelTimeout", fingerprint="f")
    await system.connection.folded(await system.connection.append(letter, subject=THREAD))
    system.model.gate.set()
    return event


async def test_a_dead_letter_is_seen_sent_round_again_and_answered(system: System, terminal: Terminal) -> None:
    event = await given_up(system)
    [listed] = await terminal.json("dead-letters", "list")
    assert (listed["event"], listed["group"], listed["error"], listed["status"]) == (event, RESPONDER, "ModelTimeout", "open")
    code, told = await terminal("dead-letters", "list")
    assert code == 0
    assert all(word in told for word in (event, CONTACT, "ModelTimeout"))
    code, told = await terminal("dead-letters", "redrive", event, "--by", "ana")
    assert code == 0
    assert told in {
        f"{event} (responder): {does}\n" for does in ("it waits for an answer again", "nothing waits any more: it is answered")
    }
    await system.has_received(system.model.text)
    assert await terminal.json("dead-letters", "list") == []
    assert [each["status"] for each in await terminal.json("dead-letters", "list", "--all")] == ["redriven"]
    code, told = await terminal("dead-letters", "redrive", event)
    assert (code, told) == (1, f"prosa: {event} (responder) is not open: it is redriven\n")


async def test_what_is_shown_of_a_dead_letter_steers_no_terminal(system: System, terminal: Terminal) -> None:
    event = await given_up(system, HOSTILE)
    code, told = await terminal("dead-letters", "show", event)
    assert code == 0
    assert "[bold]plain[/bold]" in told
    assert "event.dead_lettered" in told
    assert not set(told) & {"\x1b", "\x07", "\x9b"}
    shown = await terminal.json("dead-letters", "show", event)
    assert shown["event"]["event"]["data"]["body"] == HOSTILE


async def test_a_dead_letter_is_discarded_by_somebody_for_a_reason(system: System, terminal: Terminal) -> None:
    event = await given_up(system)
    code, told = await terminal("dead-letters", "discard", event, "--by", "ana", "--reason", "by telephone")
    assert (code, told) == (0, f"{event} (responder): nothing will be done about it\n")
    assert "by ana, reason by telephone" in (await terminal("dead-letters", "show", event))[1]
    assert await system.phone() == []


async def test_all_are_redriven_only_by_who_says_yes(system: System, terminal: Terminal) -> None:
    event = await given_up(system)
    code, told = await terminal("dead-letters", "redrive", "--all")
    assert (code, told) == (1, "prosa: 1 dead letters would be handled again; add --yes\n")
    [act] = await terminal.json("dead-letters", "redrive", "--all", "--yes")
    assert (act["event"], act["status"]) == (event, "redriven")
    assert await terminal("dead-letters", "redrive", "--all", "--yes") == (0, "No open dead letters.\n")
    for wrong in (("redrive",), ("redrive", event, "--all")):
        assert (await terminal("dead-letters", *wrong))[0] == 2


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["told", "json"])
@pytest.mark.parametrize(
    ("command", "statuses", "code"),
    [
        ("redrive", ["redriven"], 0),
        ("redrive", ["redriven", "refused"], 1),
        ("redrive", ["open"], 1),
        ("discard", ["discarded"], 0),
        ("discard", ["redriven"], 1),
        ("redrive", [], 0),
    ],
)
def test_the_exit_code_tells_whether_it_was_done(
    command: str, statuses: list[str], code: int, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = Letter("01K", "sender", "default", THREAD, None, "open", "ValueError", "f", 3, datetime.now(UTC), 1.0)
    monkeypatch.setattr(
        commands.dead_letters, "act_on", lambda *_: [Decision(letter, status, "so it ended") for status in statuses]
    )
    done = CliRunner().invoke(app, ["dead-letters", command, "01K", *options])
    assert (done.exit_code, done.output.count("so it ended")) == (code, len(statuses))


async def test_a_send_that_nobody_can_tell_about_is_listed_and_sent_again_when_a_person_says_so(
    system: System, terminal: Terminal
) -> None:
    await system.twilio.break_down(create={"rates": {"500_before": 1.0}})
    await system.write("Olá")
    state = await system.comes_to(lambda state: any(reply.status is ReplyStatus.UNCONFIRMED for reply in state.replies))
    await system.twilio.break_down(create={"rates": {}})
    [reply] = state.replies
    [listed] = await terminal.json("sends", "list")
    assert (listed["reply"], listed["part"], listed["parts"], listed["status"]) == (reply.id, 1, 1, "unconfirmed")
    code, told = await terminal("sends", "list")
    assert code == 0
    assert all(word in told for word in (reply.id, "1/1", "unconfirmed", CONTACT, system.model.text))
    assert (await terminal("sends", "resolve", reply.id, "--sent", "SM1"))[0] == 1
    code, told = await terminal("sends", "resolve", reply.id, "--not-sent")
    assert code == 0
    assert told in {f"{reply.id}, part 1: the sender {does}\n" for does in ("tries again", "has sent it")}
    await system.has_received(system.model.text)
    assert await terminal("sends", "list") == (0, "Everything went out, or is on its way.\n")
    code, told = await terminal("sends", "resolve", reply.id, "--sent", SID)
    assert code == 1
    assert f"nothing of reply {reply.id} is in doubt" in told


async def test_what_contradicts_itself_is_a_wrong_option(terminal: Terminal) -> None:
    for wrong in ([], ["--sent", SID, "--not-sent"], ["--sent", SID, "--drop"]):
        code, told = await terminal("sends", "resolve", "01K", *wrong)
        assert (code, "--sent" in told or "--drop" in told) == (2, True)


async def test_where_the_read_model_is_away_one_line_says_so(system: System, terminal: Terminal) -> None:
    for command in (("dead-letters", "list"), ("sends", "list")):
        code, told = await terminal(*command, **NOBODY)
        assert (code, len(told.splitlines())) == (1, 1)
    assert json.loads((await terminal("sends", "list", "--json"))[1]) == []


async def test_a_group_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    """None of its dead letters are open, which would be a false all-clear."""
    code, told = await prosa("dead-letters", "list", "--group", "foo", directory=tmp_path)
    assert (code, "responder" in told, "sender" in told) == (2, True, True)
