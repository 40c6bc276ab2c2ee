"""What the gauges of the read model show."""

import time
from collections.abc import Mapping

from projections.counts import Counts, count, count_conversations
from projections.database import Database
from streams.events import ClockAdvanced, ConversationTaken, EventDeadLettered, RedriveRequested, ReplyGenerated
from tests.projections.read_model import HOUR_MS, Log, Projecting, thread_in

ANA, BIA, CAIO = thread_in(0), thread_in(1), thread_in(2)


async def conversations(database: Database) -> Mapping[str, int]:
    async with database.transaction(readonly=True) as connection:
        return await count_conversations(connection)


async def test_an_empty_read_model_counts_nothing(database: Database) -> None:
    assert await count(database) == Counts({}, 0, 0, 0, 0, 0, 0)


async def test_what_waits_is_counted_with_the_age_of_the_oldest(database: Database, projecting: Projecting) -> None:
    log = Log(now_ms=round(time.time() * 1000) - 2 * HOUR_MS)
    log.receive(ANA, "SM1")
    log.wait(HOUR_MS)
    log.receive(BIA, "SM2")
    asked = log.receive(CAIO, "SM3")
    log.add(ReplyGenerated(reply="r1", first_event=asked, last_event=asked, parts=("Hello.",)), CAIO)
    log.add_bytes(b"no event", 3)
    await projecting.catch_up(log.records)
    counts = await count(database)
    assert await conversations(database) == {"pending": 3}
    assert (counts.unanswered, counts.unsent, counts.skipped_events) == (2, 1, 1)
    assert 7200 <= counts.oldest_unanswered_seconds < 7300
    assert 3600 <= counts.oldest_unsent_seconds < 3700


async def test_what_a_person_holds_does_not_wait_for_the_ai(database: Database, projecting: Projecting) -> None:
    log = Log()
    log.receive(ANA, "SM1")
    log.add(ConversationTaken(by="maria"), ANA)
    await projecting.catch_up(log.records)
    counts = await count(database)
    assert (await conversations(database), counts.unanswered) == ({"handoff": 1}, 0)


async def test_ages_are_by_the_clock_of_the_partition(database: Database, projecting: Projecting) -> None:
    log = Log(now_ms=round(time.time() * 1000))
    log.receive(ANA, "SM1")
    log.add_to_partition(ClockAdvanced(offset_ms=HOUR_MS), 0)
    await projecting.catch_up(log.records)
    assert 3600 <= (await count(database)).oldest_unanswered_seconds < 3700


async def test_dead_letters_are_counted_by_group_while_they_are_open(database: Database, projecting: Projecting) -> None:
    log = Log()
    asked = log.receive(ANA, "SM1")
    log.add(EventDeadLettered(event=asked, group="responder", attempts=5, error="Boom", fingerprint="f"), ANA)
    await projecting.catch_up(log.records)
    assert (await count(database)).dead_letters == {"responder": 1}
    log.add(RedriveRequested(event=asked, group="responder", by="maria"), ANA)
    await projecting.catch_up(log.records)
    assert (await count(database)).dead_letters == {}
