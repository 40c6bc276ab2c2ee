"""A sid is known for ever, whichever thread, batch or process spoke of it first."""

from projections.database import Database
from streams.events import ReplyGenerated
from tests.projections.read_model import Log, Projecting, assert_means, dump, empty, thread_in

THREAD = thread_in(0)
OTHER = thread_in(0, 1)


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


async def test_a_status_that_came_by_another_thread_keeps_what_is_known_of_the_message(database: Database) -> None:
    """As one batch, and as one batch each."""
    log = Log()
    sending(log)
    log.send(THREAD, "r1", "a1", "SO1")
    log.status(OTHER, "SO1", "read")
    log.receive(OTHER, "SM1")
    log.status(THREAD, "SO1", "delivered")
    dumps = []
    for batch in (1, 100):
        await Projecting(database).catch_up(log.records, batch=batch)
        dumps.append(await dump(database))
        await empty(database)

    assert dumps[0] == dumps[1]
    message = next(row for row in dumps[0]["messages"] if row["sid"] == "SO1")
    assert (message["thread"], message["status"], message["reply_id"], message["body"]) == (THREAD, "read", "r1", "Hello.")
    assert [row["sid"] for row in dumps[0]["messages"]] == ["SM1", "SO1"]
