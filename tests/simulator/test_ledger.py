"""The ledger: what each phone received, kept across restarts."""

import asyncio
from contextlib import nullcontext
from pathlib import Path

import pytest
from fastapi import Request
from starlette.exceptions import HTTPException

from simulator.access import require_control, require_loopback
from simulator.account import Account
from simulator.ledger import Kind, Ledger
from simulator.messages import Message
from simulator.settings import StageDelays
from simulator.simulation import started
from tests.simulator.stand_in import ANA, BIA, SENDER, Door, StandIn, authorization, eventually, running, settings


def test_entries_come_back_from_the_file_and_numbers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.jsonl"
    first = Ledger(path)
    entries = [first.append(Kind.MESSAGE_READ, "SM1", body="Olá\n👋"), first.append(Kind.TYPING_SHOWN, "SM2")]
    first.close()
    second = Ledger(path)
    assert list(second.entries()) == entries
    assert second.append(Kind.MESSAGE_READ).number == 3
    assert [entry.number for entry in second.entries(after=1)] == [2, 3]
    second.close()


def test_a_last_line_cut_short_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    first = Ledger(path)
    first.append(Kind.MESSAGE_READ, "SM1")
    first.append(Kind.MESSAGE_READ, "SM2", body="x" * 1000)
    first.close()
    path.write_bytes(path.read_bytes()[:-10])
    second = Ledger(path)
    second.append(Kind.MESSAGE_READ, "SM3")
    second.close()
    third = Ledger(path)
    assert [entry.sid for entry in third.entries()] == ["SM1", "SM3"]
    third.close()


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.close()
    assert (tmp_path / "ledger.jsonl").stat().st_mode & 0o077 == 0


async def test_a_phone_tells_what_it_received_and_sent_in_order(stand_in: StandIn) -> None:
    first = await stand_in.write(body="one")
    second = await stand_in.write(body="two", type="voice")
    await stand_in.write(BIA, body="other")
    sent = [(await stand_in.send("three")).sid, (await stand_in.send("four")).sid]
    await stand_in.received(2)
    await eventually(lambda: all_read(stand_in))
    phone = await stand_in.phone()
    assert [(message["sid"], message["body"], message["status"]) for message in phone["received"]] == [
        (sent[0], "three", "read"),
        (sent[1], "four", "read"),
    ]
    assert [(message["sid"], message["body"], message["webhook_status"]) for message in phone["sent"]] == [
        (first["sid"], "one", 200),
        (second["sid"], "two", 200),
    ]
    assert phone["sent"][1]["media"] == ["audio/ogg"]
    assert phone["has_open_window"]
    assert (await stand_in.control("GET", "phones"))["addresses"] == [ANA, BIA]


async def all_read(stand_in: StandIn) -> bool:
    return all(message["status"] == "read" for message in (await stand_in.phone())["received"])


async def test_a_reader_waits_for_what_comes_after_what_it_saw(stand_in: StandIn) -> None:
    await stand_in.write()
    await stand_in.send("one")
    [one] = await stand_in.received(1)
    waiting = asyncio.create_task(stand_in.phone(ANA, f"?after={one['number']}&timeout=10"))
    await stand_in.write(BIA)
    await stand_in.send("not for Ana", BIA)
    await stand_in.received(1, BIA)
    assert not waiting.done()
    await stand_in.send("two")
    assert [message["body"] for message in (await waiting)["received"]] == ["two"]


async def test_a_reader_that_waited_in_vain_gets_nothing(stand_in: StandIn) -> None:
    assert (await stand_in.phone(ANA, "?timeout=0.05"))["received"] == []
    assert (await stand_in.control("GET", "ledger?timeout=0.05&kind=message_arrived"))["entries"] == []


async def test_a_restart_brings_everything_back(tmp_path: Path, door: Door) -> None:
    configuration = settings(inbound_url=door.url, ledger_path=tmp_path / "ledger.jsonl")
    async with running(configuration) as stand_in:
        await stand_in.write(body="Oi", type="image")
        await stand_in.control("POST", f"phones/{BIA}", {"is_opted_out": True})
        await stand_in.send("Olá")
        await stand_in.received(1)
        await eventually(lambda: all_read(stand_in))
        before = await stand_in.phone(), await stand_in.entries()
        listed = [vars(message)["_solution"] for message in await stand_in.twilio.messages.list_async()]
    async with running(configuration) as stand_in:
        assert (await stand_in.phone(), await stand_in.entries()) == before
        assert [vars(message)["_solution"] for message in await stand_in.twilio.messages.list_async()] == listed
        assert (await stand_in.phone(BIA))["is_opted_out"]
        path = door.posts[0].form["MediaUrl0"].partition("/2010")[2]
        async with stand_in.http.get(f"{stand_in.url}/2010{path}", headers=authorization(), allow_redirects=False) as response:
            location = response.headers["Location"]
        async with stand_in.http.get(location) as response:
            assert (response.status, response.content_type) == (200, "image/jpeg")
        new = (await stand_in.write())["sid"]
        assert new not in {solution["sid"] for solution in listed}


async def test_a_message_on_its_way_at_a_restart_arrives_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    async with running(settings(ledger_path=path, delays=StageDelays(delivered_seconds=3600, sent_seconds=0))) as stand_in:
        await stand_in.write()
        await stand_in.send("Olá")
        await eventually(lambda: stand_in.entries("status_changed"))
    for _ in range(2):
        async with running(settings(ledger_path=path)) as stand_in:
            assert [message["body"] for message in await stand_in.received(1)] == ["Olá"]
            await eventually(lambda: all_read(stand_in))
            assert len((await stand_in.phone())["received"]) == 1


async def test_a_message_that_arrived_just_before_a_kill_does_not_arrive_again(tmp_path: Path) -> None:
    configuration = settings(ledger_path=tmp_path / "ledger.jsonl")
    account = Account(configuration)
    message = Message("SM1", "outbound-api", SENDER, ANA, "Olá", "queued", created_at=1.0, updated_at=1.0)
    account.record(Kind.MESSAGE_ACCEPTED, "SM1", address=ANA, message=message.to_json())
    account.change_status("SM1", "sent")
    account.record(Kind.MESSAGE_ARRIVED, "SM1", address=ANA, body="Olá", media=[])
    account.close()
    async with running(configuration) as stand_in:
        await eventually(lambda: all_read(stand_in))
        assert [entry["sid"] for entry in await stand_in.entries("message_arrived")] == ["SM1"]


def test_the_control_plane_is_for_this_machine_only() -> None:
    require_loopback(Request({"type": "http", "client": ("127.0.0.1", 1)}))
    with pytest.raises(HTTPException):
        require_loopback(Request({"type": "http", "client": ("10.0.0.1", 1)}))


async def test_a_control_plane_that_was_opened_is_for_everybody_who_reaches_it() -> None:
    """As in a container, where nobody comes from the loopback address."""
    for is_open in (True, False):
        simulation = started(settings(is_control_open=is_open))
        stranger = Request({"type": "http", "client": ("172.18.0.1", 1)})
        with nullcontext() if is_open else pytest.raises(HTTPException):
            require_control(stranger, simulation)
        await simulation.close()


@pytest.mark.parametrize("path", ["health", "ledger", "phones"])
async def test_the_control_plane_needs_no_credentials_here(stand_in: StandIn, path: str) -> None:
    assert await stand_in.control("GET", path)
