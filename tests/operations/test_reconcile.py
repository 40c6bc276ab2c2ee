"""`prosa reconcile`, typed by a person beside a running system whose webhook missed something."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from commands.moments import moment
from commands.reconcile import SHOWN, report
from handlers.reconciling import patient_twilio_client
from handlers.twilio_client import TwilioClient
from operations.errors import ActRefused
from operations.reconcile import Missed, Reconciliation, reconcile
from streams.events import MessageReceived
from tests.acceptance.running import clean_environment
from tests.handlers import twilio_list
from tests.handlers.twilio_list import BIA, a_list, ago
from tests.operations.system import CONTACT, THREAD, System, a_system
from tests.operations.test_commands import NOBODY, Terminal
from tests.simulator.stand_in import ACCOUNT_SID, AUTH_TOKEN, SENDER

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
async def system(redis_url: str, database_url: str) -> AsyncIterator[System]:
    """One that waits until somebody has written to the end: what is fetched comes one after the other."""
    async with a_system(redis_url, database_url, reply_quiet_seconds=1) as made:
        yield made


@pytest.fixture
async def terminal(system: System, tmp_path: Path) -> Terminal:
    made = Terminal(system, tmp_path)
    made.environment |= {
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_API_URL": system.twilio.url,
        "TWILIO_SENDER": SENDER,
    }
    return made


def soon() -> str:
    """A moment that lies after all that was written: else the youngest minute is left to the webhook."""
    return (datetime.now(UTC) + timedelta(minutes=1)).isoformat()


async def missed(system: System, *bodies: str) -> list[str]:
    """The contact writes, and no webhook comes; the sids, the oldest first."""
    await system.twilio.break_down(inbound={"lost": len(bodies)})
    return [(await system.twilio.write(CONTACT, body=body))["sid"] for body in bodies]


async def test_what_was_missed_is_fetched_and_answered_once_in_order(system: System, terminal: Terminal) -> None:
    sids = await missed(system, "one", "two", "three")
    told = await terminal.json("reconcile", "--since", "1h", "--until", soon())
    assert (told["held"], told["is_whole"], told["unreadable"]) == (3, True, 0)
    assert [each["sid"] for each in told["missed"]] == sids
    assert all(each["is_appended"] and not each["is_too_late"] for each in told["missed"])
    await system.has_received("The AI answers.")
    assert system.model.answered == 1
    again = await terminal.json("reconcile", "--since", "1h", "--until", soon())
    assert (again["held"], again["missed"]) == (3, [])


async def test_a_rehearsal_fetches_nothing(system: System, terminal: Terminal) -> None:
    [sid] = await missed(system, "one")
    await system.connection.join()
    before = await system.connection.log.heads()
    code, told = await terminal("reconcile", "--since", "1h", "--until", soon(), "--dry-run")
    assert code == 0
    assert "1 never reached the log:" in told
    assert sid in told
    assert await system.connection.log.heads() == before


async def test_a_late_try_of_twilio_after_it_counts_nothing_twice(system: System, terminal: Terminal) -> None:
    [sid] = await missed(system, "one")
    await terminal.json("reconcile", "--since", "1h", "--until", soon())
    await system.has_received("The AI answers.")
    late = MessageReceived(sid=sid, kind="text", body="one", form={"Body": ("one",)})
    await system.connection.folded(await system.connection.append(late, subject=THREAD))
    state = await system.comes_to(lambda state: state.inbound_count)
    assert (state.inbound_count, state.unanswered) == (1, ())
    await system.has_received("The AI answers.")


async def test_what_came_by_the_webhook_is_left_alone(system: System, terminal: Terminal) -> None:
    await system.write("by the webhook")
    await system.has_received("The AI answers.")
    code, told = await terminal("reconcile", "--since", "1h", "--until", soon())
    assert (code, "All of them are in the log." in told) == (0, True)


async def test_words_and_contacts_are_told_to_nobody(system: System, terminal: Terminal) -> None:
    await missed(system, "a secret between us")
    code, told = await terminal("reconcile", "--since", "1h", "--until", soon())
    assert code == 0
    assert "fetched now" in told
    assert "secret" not in told
    assert CONTACT.removeprefix("whatsapp:") not in told


async def test_what_is_younger_than_a_minute_is_left_to_the_webhook(system: System, terminal: Terminal) -> None:
    await missed(system, "young")
    told = await terminal.json("reconcile", "--since", "1h")
    assert (told["held"], told["missed"]) == (0, [])


async def test_where_the_projector_is_behind_nothing_is_appended_on_a_guess(system: System) -> None:
    await system.write("something")
    await system.has_received("The AI answers.")
    [sid] = await missed(system, "one")
    async with patient_twilio_client(system.settings) as twilio:
        since, until = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(minutes=1)
        given: dict[str, Any] = {"account": ACCOUNT_SID, "sender": SENDER, "since": since, "until": until}
        found = await reconcile(system.connection, twilio, **given, fold_seconds=0.0)
        assert (found.missed, found.unchecked, found.is_whole) == ((), 1, False)
        assert [each.sid for each in (await reconcile(system.connection, twilio, **given)).missed] == [sid]


async def test_one_message_whose_files_nobody_tells_holds_up_its_own_contact_only(system: System) -> None:
    async with a_list() as listing, TwilioClient(account_sid=twilio_list.ACCOUNT, auth_token="t", api_url=listing.url) as twilio:
        odd = listing.wrote("look", ago(minutes=9), num_media="1")
        listing.media[odd] = "no list"
        after_it, other = listing.wrote("after it", ago(minutes=8)), listing.wrote("words", ago(minutes=7), contact=BIA)
        given: dict[str, Any] = {"account": twilio_list.ACCOUNT, "sender": SENDER, "since": ago(hours=1)}
        found = await reconcile(system.connection, twilio, **given)
        assert {each.sid: each.is_appended for each in found.missed} == {odd: False, after_it: False, other: True}
        assert (found.untold, found.is_whole) == (2, False)
        listing.media[odd] = []
        again = await reconcile(system.connection, twilio, **given)
        assert [(each.sid, each.is_appended) for each in again.missed] == [(odd, True), (after_it, True)]
        assert (again.untold, again.is_whole) == (0, True)


KILLED = """
import os, signal
from streams import crash_points
from cli import main

passed = []

def on_reached(point):
    passed.append(point)
    if passed.count({point!r}) == {time}:
        os.kill(os.getpid(), signal.SIGKILL)

crash_points.on_reached = on_reached
main()
"""


@pytest.mark.parametrize(("point", "time"), [("reconciler.compared", 1), ("reconciler.appending", 2), ("reconciler.appended", 2)])
async def test_a_kill_between_two_appends_loses_and_doubles_nothing(
    system: System, terminal: Terminal, point: str, time: int
) -> None:
    await missed(system, "one", "two", "three")
    command = [sys.executable, "-c", KILLED.format(point=point, time=time), "reconcile", "--since", "1h", "--until", soon()]
    environment = clean_environment(**terminal.environment, PYTHONPATH=str(ROOT))
    killed = await asyncio.create_subprocess_exec(*command, cwd=terminal.directory, env=environment)
    assert await killed.wait() == -signal.SIGKILL
    await terminal.json("reconcile", "--since", "1h", "--until", soon())
    state = await system.comes_to(lambda state: state.inbound_count == 3 and not state.unanswered)
    lines = await system.connection.reader.history(state.conversation.id if state.conversation else "", (), limit=100)
    assert [line.body for line in lines if line.direction == "inbound"] == ["one", "two", "three"]


# ------------------------------------------------------------------------------------------------------------- mistakes


async def test_wrong_credentials_name_the_settings(system: System, terminal: Terminal) -> None:
    await missed(system, "one")
    code, told = await terminal("reconcile", "--since", "1h", TWILIO_AUTH_TOKEN="wrong")
    assert code == 1
    assert "TWILIO_AUTH_TOKEN" in told
    assert "wrong" not in told
    assert "Traceback" not in told


async def test_a_twilio_that_does_not_answer_is_told(terminal: Terminal) -> None:
    code, told = await terminal("reconcile", "--since", "1h", TWILIO_API_URL="http://127.0.0.1:1")
    assert code == 1
    assert "Twilio does not answer" in told
    assert "Traceback" not in told


async def test_a_system_that_is_away_is_told(tmp_path: Path, terminal: Terminal) -> None:
    code, told = await terminal("reconcile", "--since", "1h", **NOBODY)
    assert code == 1
    assert "the log" in told
    assert "Traceback" not in told


async def test_an_account_that_was_never_set_is_told(terminal: Terminal) -> None:
    code, told = await terminal("reconcile", "--since", "1h", TWILIO_ACCOUNT_SID="", TWILIO_API_URL="")
    assert code == 1
    assert "TWILIO_ACCOUNT_SID" in told


@pytest.mark.parametrize("since", ["yesterday", "2h ago", "-2h", "", "2026-13-01", "999999d"])
async def test_a_moment_that_is_none_is_told(terminal: Terminal, since: str) -> None:
    code, told = await terminal("reconcile", f"--since={since}")
    assert code in (1, 2)
    assert "Traceback" not in told


async def test_an_empty_period_is_refused(system: System) -> None:
    async with patient_twilio_client(system.settings) as twilio:
        with pytest.raises(ActRefused):
            await reconcile(system.connection, twilio, account=ACCOUNT_SID, sender=SENDER, since=datetime.now(UTC))


# ------------------------------------------------------------------------------------------------------------------ pure


@pytest.mark.parametrize(
    ("text", "length"), [("90s", 90), ("5m", 300), ("5min", 300), ("2h", 7200), ("1.5h", 5400), ("3D", 259_200)]
)
def test_a_length_is_that_long_ago(text: str, length: float) -> None:
    assert abs((datetime.now(UTC) - moment(text, "--since")).total_seconds() - length) < 5


@pytest.mark.parametrize("text", ["2026-11-20T10:00", "2026-11-20 10:00:00", "2026-11-20T07:00-03:00", "2026-11-20T10:00Z"])
def test_a_moment_is_in_utc_unless_it_says_otherwise(text: str) -> None:
    assert moment(text, "--since") == datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def test_a_moment_of_nobodys_calendar_is_no_moment() -> None:
    with pytest.raises(typer.BadParameter):
        moment("0001-01-01T00:00+14:00", "--since")


def told(**changes: Any) -> str:
    given: dict[str, Any] = {"senders": (SENDER,), "since": NOW - timedelta(hours=2), "until": NOW, "held": 200, "missed": ()}
    given |= {"unchecked": 0, "unreadable": 0, "cut_at": None}
    return "\n".join(report(Reconciliation(**{**given, **changes})))


def test_a_comparison_that_is_not_whole_says_what_to_do() -> None:
    assert "Do the handlers run?" in told(unchecked=3)
    assert "All of them" not in told(unchecked=3)
    assert "--until 2026-11-21T11:00:01" in told(cut_at=NOW - timedelta(hours=1))
    assert "1 message of the list" in told(unreadable=1)
    assert "goes in a circle: compared back to 2026-11-21 11:00:00" in told(cut_at=NOW - timedelta(hours=1), is_circular=True)


def test_a_message_whose_files_are_not_told_is_named_among_those_that_are_fetched() -> None:
    waiting, fetched = (Missed(sid, NOW, is_appended=sid == "SM2", is_too_late=False) for sid in ("SM1", "SM2"))
    lines = told(missed=(waiting, fetched), untold=1).splitlines()
    assert [line.endswith("waits") for line in lines if line.startswith("  SM")] == [True, False]
    assert any(line.startswith("1 message left to wait") for line in lines)


def test_of_nothing_nothing_is_said() -> None:
    assert "in the log" not in told(held=0)
    assert "All of them are in the log." in told(held=2)


def test_a_long_list_is_cut_on_the_terminal_and_a_message_too_late_is_named() -> None:
    each = Missed("SM1", NOW - timedelta(hours=30), is_appended=True, is_too_late=True)
    shown = told(missed=(each,) * (SHOWN + 5))
    assert shown.count("too late to be answered") == SHOWN
    assert "and 5 more" in shown
