"""A sid is known for ever, whichever thread, batch or process spoke of it first."""

from typing import Any

import pytest

from projections.database import Database
from projections.folding import Fold, Row
from projections.rows import rows_of
from projections.state import Message
from projections.store import write_rows
from streams.events import ReplyGenerated
from streams.log import Record
from tests.projections.read_model import Log, Projecting, assert_means, dump, empty, thread_in

THREAD = thread_in(0)
OTHER = thread_in(0, 1)
ELSEWHERE = thread_in(1)


def sending(log: Log) -> None:
    """A message is answered, and the answer is about to be sent."""
    event = log.receive(THREAD, "SM1")
    log.add(ReplyGenerated(reply="r1", first_event=event, last_event=event, parts=("Hello.",)), THREAD)
    log.start_send(THREAD, "r1", "a1")


async def test_a_status_that_comes_before_its_message_was_sent_joins_it(database: Database, projecting: Projecting) -> None:
    log = Log()
    sending(log)
    log.status(THREAD, "SO1", "delivered")
    await projecting.catch_up(log.records)
    unknown = next(row for row in (await dump(database))["messages"] if row["sid"] == "SO1")
    log.send(THREAD, "r1", "a1", "SO1")

    await projecting.catch_up(log.records)

    joined = next(row for row in (await dump(database))["messages"] if row["sid"] == "SO1")
    assert (unknown["status"], unknown["reply_id"], unknown["body"]) == ("delivered", None, None)
    assert (joined["status"], joined["reply_id"], joined["body"]) == ("delivered", "r1", "Hello.")
    await assert_means(database, log.records)


async def test_a_sid_that_no_cache_remembers_counts_once(database: Database) -> None:
    log = Log()
    log.receive(THREAD, "SM1")
    await Projecting(database).catch_up(log.records)
    log.receive(THREAD, "SM1")
    log.receive(THREAD, "SM2")

    await Projecting(database).catch_up(log.records)

    rows = await dump(database)
    assert [row["sid"] for row in rows["messages"]] == ["SM1", "SM2"]
    assert [row["position"] for row in rows["messages"]] == [1, 3]
    await assert_means(database, log.records)


async def test_a_sid_that_is_old_to_a_cached_thread_counts_once(database: Database, projecting: Projecting) -> None:
    log = Log()
    log.receive(THREAD, "SM1")
    for number in range(100):
        log.receive(THREAD, f"SM-between-{number}")
    await projecting.catch_up(log.records, batch=10)
    log.receive(THREAD, "SM1")

    await projecting.projector.project(log.records[-1:])

    await assert_means(database, log.records)


async def in_one_batch_and_in_many(database: Database, log: Log) -> dict[str, dict[str, Any]]:
    """The rows of the messages by sid, which are the same either way."""
    dumps = []
    for batch in (1, 100):
        await Projecting(database).catch_up(log.records, batch=batch)
        await assert_means(database, log.records)
        dumps.append(await dump(database))
        await empty(database)
    assert dumps[0] == dumps[1]
    return {row["sid"]: row for row in dumps[0]["messages"]}


async def test_a_status_that_came_by_another_thread_changes_nothing_of_a_message(database: Database) -> None:
    log = Log()
    sending(log)
    log.send(THREAD, "r1", "a1", "SO1")
    log.status(OTHER, "SO1", "undelivered")
    log.receive(OTHER, "SM1")
    log.status(THREAD, "SO1", "delivered")
    messages = await in_one_batch_and_in_many(database, log)
    message = messages["SO1"]
    assert (message["thread"], message["status"], message["reply_id"], message["body"]) == (THREAD, "delivered", "r1", "Hello.")
    assert set(messages) == {"SM1", "SO1"}


@pytest.mark.parametrize("told_on", [THREAD, OTHER])
async def test_what_a_callback_only_spoke_of_makes_room_for_what_the_contact_wrote(database: Database, told_on: str) -> None:
    log = Log()
    log.status(told_on, "SM1", "failed")
    event = log.receive(THREAD, "SM1", "I am here.")
    log.status(told_on, "SM1", "failed")
    message = (await in_one_batch_and_in_many(database, log))["SM1"]
    told = [message[column] for column in ("thread", "direction", "status", "body", "event_id", "position")]
    assert told == [THREAD, "inbound", "received", "I am here.", event, 2]


async def test_what_a_callback_spoke_of_elsewhere_makes_room_for_what_was_sent(database: Database) -> None:
    log = Log()
    log.status(OTHER, "SO1", "failed")
    sending(log)
    log.send(THREAD, "r1", "a1", "SO1")
    log.status(OTHER, "SO1", "failed")
    message = (await in_one_batch_and_in_many(database, log))["SO1"]
    told = [message[column] for column in ("thread", "direction", "status", "reply_id", "position")]
    assert told == [THREAD, "outbound", "queued", "r1", 5]


async def test_a_projector_that_knows_only_a_callback_takes_no_row_from_another_thread(database: Database) -> None:
    """Two projectors, one partition each, load what is known at the same time; whoever writes last must not win by that."""
    log = Log()
    sending(log)
    log.send(THREAD, "r1", "a1", "SO1")
    await Projecting(database).catch_up(log.records)
    rumour = Message("SO1", ELSEWHERE, "outbound", "failed", 0, "e9", error_code=63016)
    record = Record(1, 1, 9, log.now_ms, b"")
    fold = Fold({}, {}, {}, {}, {}, rows={(Message, "SO1"): Row(rumour, ELSEWHERE, "default", record)})
    async with database.transaction() as connection:
        await write_rows(connection, rows_of(fold))
    await assert_means(database, log.records)
