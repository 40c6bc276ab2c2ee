"""The reconciler beside the clock: how far it looks back, how it waits, and that it harms nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from faststream import FastStream
from structlog.testing import capture_logs

import metrics
from handlers.processes import build_app, build_clock
from handlers.reconciler import LEFT_TO_THE_WEBHOOK, Reconciler
from handlers.reconciling import FIRST_LOOK, MOST_PAUSE_SECONDS, OVERLAP, Reconciling, is_configured, patient_twilio_client
from handlers.twilio_answers import CircularList, TwilioUnavailable
from handlers.twilio_client import TwilioClient
from projections.database import Database
from projections.lateness import RECONCILER
from projections.migrate import migrate
from settings import Settings
from streams.cancellation import end
from streams.engines.choose import event_log
from streams.engines.redis_connection import connect
from streams.engines.redis_log import FIELD, META_KEY, RedisEventLog, stream_key
from streams.envelope import decode, encode, new_event
from streams.errors import LogUnavailable, ReadModelUnavailable
from streams.events import ClockTicked, Event, MessageReceived
from streams.partitions import START, partition_subject
from tests.handlers.raw_server import answering
from tests.handlers.twilio_list import ACCOUNT, SENDER, TwilioList, a_list, ago
from tests.handlers.world import PARTITIONS, World, events_of, eventually, thread_of

HOUR_MS = 3_600_000
SLACK = timedelta(seconds=30)


@dataclass
class Desk:
    world: World
    listing: TwilioList
    client: TwilioClient

    def reconciling(self, **changes: Any) -> Reconciling:
        given = {"account": ACCOUNT, "sender": SENDER, "most_pages": 20, "fold_seconds": 0.3, **changes}
        every_seconds = given.pop("every_seconds", 300.0)
        reconciler = Reconciler(self.world.log, self.world.database, self.client, **given)
        return Reconciling(reconciler, self.world.log, every_seconds=every_seconds)

    async def log_began(self, **length: float) -> None:
        """Every partition has one entry, so long ago."""
        behind = round(timedelta(**length).total_seconds() * 1000)
        self.world.clock.ahead_ms -= behind
        for partition in range(PARTITIONS):
            await self.world.tick(partition)
        self.world.clock.ahead_ms += behind

    async def fetched(self) -> list[str]:
        events = [event for partition in range(PARTITIONS) for event in await events_of(self.world.log, partition)]
        found = sorted((event for event in events if event.source == RECONCILER), key=lambda event: event.time)
        return [event.data.body for event in found if isinstance(event.data, MessageReceived)]


@pytest_asyncio.fixture
async def desk(world: World) -> AsyncIterator[Desk]:
    async with a_list() as listing, TwilioClient(account_sid=ACCOUNT, auth_token="t", api_url=listing.url) as client:
        yield Desk(world, listing, client)


def is_about(moment: datetime, length: timedelta) -> bool:
    return abs(datetime.now(UTC) - length - moment) < SLACK


# ------------------------------------------------------------------------------------------------------------ looking back


async def test_the_first_look_goes_a_day_back(desk: Desk) -> None:
    await desk.log_began(days=30)
    await desk.log_began(minutes=1)
    assert is_about(await desk.reconciling().look_back(), FIRST_LOOK)


async def test_after_a_longer_silence_of_everything_it_goes_back_to_where_the_log_fell_silent(desk: Desk) -> None:
    await desk.log_began(days=30)
    await desk.log_began(hours=60)
    assert is_about(await desk.reconciling().look_back(), timedelta(hours=60) + OVERLAP)


async def test_a_webhook_that_is_up_again_before_the_clock_hides_no_silence(desk: Desk) -> None:
    """It fills one partition; the others show how long nobody was there."""
    await desk.log_began(days=30)
    await desk.log_began(hours=60)
    await desk.world.write(thread_of(0, partition=1))
    assert is_about(await desk.reconciling().look_back(), timedelta(hours=60) + OVERLAP)


async def test_it_never_looks_behind_the_beginning_of_the_log(desk: Desk) -> None:
    """What came before was somebody else's to answer."""
    desk.listing.wrote("to somebody else", ago(minutes=30))
    desk.listing.wrote("to us", ago(minutes=5))
    await desk.log_began(minutes=10)
    reconciling = desk.reconciling()
    await reconciling.reconcile()
    await reconciling.reconcile()
    assert await desk.fetched() == ["to us"]


async def test_what_was_written_in_the_first_second_of_the_log_is_fetched(desk: Desk) -> None:
    """Twilio dates it by whole seconds, and so before the first entry."""
    await desk.log_began(minutes=10)
    first = await desk.world.log.read(dict.fromkeys(range(PARTITIONS), START), limit=1)
    began = min(record.appended_at_ms for record in first)
    desk.listing.wrote("in the first second", datetime.fromtimestamp(began // 1000, UTC))
    desk.listing.wrote("to somebody else", datetime.fromtimestamp(began // 1000 - 1, UTC))
    await desk.reconciling().reconcile()
    assert await desk.fetched() == ["in the first second"]


async def test_an_empty_log_has_missed_nothing(desk: Desk) -> None:
    desk.listing.wrote("to somebody else", ago(minutes=5))
    await desk.reconciling().reconcile()
    assert await desk.fetched() == []


async def test_a_log_that_was_emptied_began_when_its_archive_did(desk: Desk) -> None:
    """A new volume: the read model knows for how long what contacts write has been ours to answer."""
    await desk.log_began(hours=20)
    await eventually(lambda: desk.world.rows(f"SELECT FROM events HAVING count(*) = {PARTITIONS}"))
    for partition in range(PARTITIONS):
        await desk.world.ownership.lose(partition)
        desk.world.log.lose_tail(partition, keep=0)
    reconciling = desk.reconciling()
    await reconciling.look_back()
    await desk.world.tick(1)
    desk.listing.wrote("to somebody else", ago(hours=21))
    desk.listing.wrote("during the outage", ago(hours=3))
    await reconciling.reconcile()
    with pytest.raises(ReadModelUnavailable):  # nobody folds what was fetched
        await reconciling.reconcile()
    assert await desk.fetched() == ["during the outage"]


async def test_later_looks_overlap_the_last_whole_one(desk: Desk) -> None:
    """Twilio's list is late: what it shows only now was written before the last look."""
    await desk.log_began(days=2)
    reconciling = desk.reconciling()
    await reconciling.reconcile()
    desk.listing.wrote("shown late", ago(minutes=50))
    desk.listing.wrote("beyond", ago(minutes=70))
    await reconciling.reconcile()
    assert await desk.fetched() == ["shown late"]


async def test_a_look_that_failed_is_made_good_by_the_next(desk: Desk) -> None:
    await desk.log_began(days=2)
    reconciling = desk.reconciling()
    desk.listing.wrote("long ago", ago(hours=20))
    desk.listing.faults = [answering(503)]
    with pytest.raises(TwilioUnavailable):
        await reconciling.reconcile()
    await reconciling.reconcile()
    assert await desk.fetched() == ["long ago"]


async def test_a_list_in_a_circle_is_compared_as_far_as_it_goes_and_asked_for_again(desk: Desk) -> None:
    """What lies behind the circle is fetched when it ends: no look goes on from where this one stopped."""
    await desk.log_began(days=2)
    desk.listing.page_size = 1
    for body, hours in (("behind it", 9), ("before it", 8)):
        desk.listing.wrote(body, ago(hours=hours))
    desk.listing.leads_back = {0: 0}
    reconciling = desk.reconciling()
    for _ in range(2):
        with pytest.raises(CircularList):
            await reconciling.reconcile()
        assert await desk.fetched() == ["before it"]
    desk.listing.leads_back = {}
    await reconciling.reconcile()
    assert await desk.fetched() == ["behind it", "before it"]


async def test_what_is_young_is_left_to_the_webhook(desk: Desk) -> None:
    await desk.log_began(days=2)
    desk.listing.wrote("young", datetime.now(UTC) - LEFT_TO_THE_WEBHOOK + timedelta(seconds=20))
    await desk.reconciling().reconcile()
    assert await desk.fetched() == []


@pytest.mark.parametrize("slow", [timedelta(minutes=30), timedelta(minutes=-30)], ids=["slow", "fast"])
async def test_a_host_whose_clock_is_wrong_fetches_with_twilios_own_dates_and_leaves_the_young(
    desk: Desk, slow: timedelta
) -> None:
    """What goes by the clock of the host is the same for all hosts: nothing."""
    desk.world.clock.ahead_ms += slow // timedelta(milliseconds=1)
    await desk.log_began(days=2)
    wrote = {f"{minutes} minutes ago": ago(minutes=minutes) + slow for minutes in (40, 10, 2)}
    for body, at in wrote.items():
        desk.listing.wrote(body, at)
    desk.listing.wrote("young", ago(seconds=5) + slow)
    with capture_logs() as lines:
        await desk.reconciling().reconcile()
    assert await desk.fetched() == list(wrote)
    records = await desk.world.log.read(dict.fromkeys(range(PARTITIONS), START), limit=100)
    events = [event for event in (decode(record.value) for record in records) if event.source == RECONCILER]
    assert sorted(event.time for event in events) == list(wrote.values())
    assert [line["event"] for line in lines if line["event"].startswith("listed.")] == []


async def test_what_waits_for_the_projector_is_looked_at_again(desk: Desk) -> None:
    await desk.log_began(days=2)
    desk.listing.wrote("hello", ago(hours=3))
    ticks = []
    for partition in range(PARTITIONS):
        await desk.world.ownership.lose(partition)
        ticks.append(await desk.world.tick(partition))
    reconciling = desk.reconciling()
    with pytest.raises(ReadModelUnavailable):
        await reconciling.reconcile()
    desk.world.ownership.gain(*range(PARTITIONS))
    for partition, tick in enumerate(ticks):
        await desk.world.progress.reached(partition, tick.record.position)
    await reconciling.reconcile()
    assert await desk.fetched() == ["hello"]


# ----------------------------------------------------------------------------------------------------- waiting and telling


async def test_what_is_fetched_is_counted_and_told(desk: Desk) -> None:
    await desk.log_began(days=2)
    desk.listing.wrote("hello", ago(hours=3))
    before = metrics.RECONCILED_MESSAGES.of()._value.get()
    with capture_logs() as lines:
        await desk.reconciling().reconcile()
    assert metrics.RECONCILED_MESSAGES.of()._value.get() == before + 1
    [line] = [line for line in lines if line["log_level"] == "warning"]
    assert (line["messages"], line["held"]) == (1, 1)
    assert "hello" not in str(lines)


async def test_an_outage_of_twilio_is_told_once_and_waited_out_with_growing_pauses(desk: Desk) -> None:
    await desk.log_began(days=2)
    desk.listing.wrote("hello", ago(hours=3))
    desk.listing.faults = [answering(401, {"code": 20003}), answering(429), answering(500), answering(200, b"<html>")]
    with capture_logs() as lines:
        task = asyncio.create_task(desk.reconciling(every_seconds=0.01).run())
        try:
            await eventually(desk.fetched)
        finally:
            await end([task])
    told = [line["event"] for line in lines if line.get("what") == "cannot reconcile with Twilio"]
    assert told == ["outage.begun", "outage.ended"]


async def test_pauses_grow_with_each_failure_and_are_bounded(desk: Desk) -> None:
    reconciling = desk.reconciling(every_seconds=60.0)
    assert reconciling.pause(1.0) == 60.0
    pauses = []
    for _ in range(8):
        desk.listing.faults = [answering(503)]
        with pytest.raises(TwilioUnavailable):
            await reconciling.reconcile()
        pauses.append(reconciling.pause(1.0))
    assert all(60.0 <= pause <= MOST_PAUSE_SECONDS for pause in pauses)
    assert pauses[-1] > 4 * 60.0
    await reconciling.reconcile()
    assert reconciling.pause(1.0) == 60.0


async def test_the_age_counts_from_the_last_whole_look(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("handlers.reconciling.time.monotonic", lambda: now)
    reconciling = desk.reconciling()
    now = 1060.0
    desk.listing.faults = [answering(503)]
    with pytest.raises(TwilioUnavailable):
        await reconciling.reconcile()
    assert reconciling.age_seconds == 60.0
    await reconciling.reconcile()
    assert reconciling.age_seconds == 0.0


async def test_a_log_that_is_away_is_an_outage_like_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    reconciling = desk.reconciling()

    async def away() -> None:
        raise LogUnavailable("away")

    monkeypatch.setattr(desk.world.log, "heads", away)
    with pytest.raises(LogUnavailable):
        await reconciling.reconcile()


def test_nobody_is_asked_about_an_account_that_was_never_set() -> None:
    assert not is_configured(Settings(_env_file=None))
    assert is_configured(Settings(_env_file=None, twilio_account_sid=ACCOUNT))
    assert is_configured(Settings(_env_file=None, twilio_api_url="http://127.0.0.1:9"))


# -------------------------------------------------------------------------------------------------- in the clock's process


def clock_settings(redis_url: str, database_url: str, listing: TwilioList, **changes: Any) -> Settings:
    given = {
        "redis_url": redis_url,
        "database_url": database_url,
        "stream_partitions": 2,
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": "t",
        "twilio_api_url": listing.url,
        "clock_tick_seconds": 0.05,
        "reconcile_seconds": 0.1,
        "metrics_port": 0,
    }
    return Settings(_env_file=None, **{**given, **changes})


async def read_all(settings: Settings) -> list[Event]:
    log = event_log(settings)
    await log.start()
    try:
        records = await log.read(dict.fromkeys(range(2), START), limit=10_000)
        return [decode(record.value) for record in records]
    finally:
        await log.close()


async def test_a_clock_goes_on_in_the_generation_that_a_repair_began(redis_url: str, database_url: str) -> None:
    """What stands in the new one and is not folded yet is not missing: the old streams, which are gone, tell nothing of it."""
    await asyncio.to_thread(migrate, database_url)
    event_log_, database = RedisEventLog(redis_url, partitions=2), Database(database_url, max_connections=2)
    redis = connect(redis_url, connections=1, timeout_seconds=5)
    await event_log_.start()
    async with a_list() as listing, TwilioClient(account_sid=ACCOUNT, auth_token="t", api_url=listing.url) as client:
        await began_long_ago(clock_settings(redis_url, database_url, listing))
        reconciler = Reconciler(event_log_, database, client, account=ACCOUNT, sender=SENDER, most_pages=20, fold_seconds=0.3)
        reconciling = Reconciling(reconciler, event_log_, every_seconds=300)
        await reconciling.reconcile()
        for partition in range(2):
            await redis.rename(stream_key(partition, 1), stream_key(partition, 2))
        await redis.hset(META_KEY, "epoch", 2)
        listing.wrote("in the log", ago(minutes=30))
        with pytest.raises(ReadModelUnavailable):
            await reconciling.reconcile()
    assert [await redis.xlen(stream_key(partition, 2)) for partition in range(2)] == [1, 1]
    await redis.aclose()
    await database.close()
    await event_log_.close()


@pytest.mark.parametrize("is_on", [True, False])
async def test_the_clock_reconciles_where_the_settings_say_so(redis_url: str, database_url: str, *, is_on: bool) -> None:
    await asyncio.to_thread(migrate, database_url)
    async with a_list() as listing:
        settings = clock_settings(redis_url, database_url, listing, **({} if is_on else {"reconcile_seconds": 0}))
        clock = build_clock(settings)
        await clock.start()
        try:
            if is_on:
                await eventually(lambda: len(listing.asked) >= 2)
            else:
                await eventually(lambda: ticks_of(settings, 20))
        finally:
            await clock.stop()
    assert bool(listing.asked) is is_on


async def ticks_of(settings: Settings, count: int) -> bool:
    return sum(isinstance(event.data, ClockTicked) for event in await read_all(settings)) >= count


@asynccontextmanager
async def running(*applications: FastStream) -> AsyncIterator[None]:
    for application in applications:
        await application.start()
    try:
        yield
    finally:
        for application in applications:
            await application.stop()


async def began_long_ago(settings: Settings) -> None:
    """Every partition has an entry of two days ago, as if everything had been silent since."""
    redis = connect(settings.redis_url.get_secret_value(), connections=1, timeout_seconds=5)
    milliseconds = round(ago(days=2).timestamp() * 1000)
    for partition in range(settings.stream_partitions):
        tick = new_event(ClockTicked(nominal=ago(days=2)), subject=partition_subject(partition), source="prosa/clock")
        await redis.xadd(stream_key(partition), {FIELD: encode(tick)}, id=f"{milliseconds}-0")
    await redis.aclose()


async def test_a_webhook_that_was_down_for_an_hour_has_lost_nothing(redis_url: str, database_url: str) -> None:
    """Clock and groups on real servers; contacts wrote all the while, and each is answered once, and to all that was written."""
    await asyncio.to_thread(migrate, database_url)
    contacts = [f"whatsapp:+55119000010{number:02}" for number in range(8)]
    async with a_list() as listing:
        settings = clock_settings(redis_url, database_url, listing, reply_quiet_seconds=1, ai_model="offline")
        await began_long_ago(settings)
        for minute in range(60, 2, -2):
            listing.wrote(f"written {minute} minutes ago", ago(minutes=minute), contact=contacts[minute % len(contacts)])
        async with running(build_app(settings), build_clock(settings)):
            writers = {each["from"] for each in listing.messages}
            await eventually(lambda: {to for to, _ in listing.sent} == writers, within_seconds=30)
            asked = len(listing.asked)
            await eventually(lambda: len(listing.asked) >= asked + 3)
        events = [event for event in await read_all(settings) if event.source == RECONCILER]
    assert len(listing.sent) == len(writers), "one answer to each"
    for contact in writers:
        bodies = [
            event.data.body for event in events if event.subject.endswith(contact) and isinstance(event.data, MessageReceived)
        ]
        assert bodies == [each["body"] for each in listing.messages if each["from"] == contact]


async def test_a_twilio_that_hangs_stops_no_tick_and_no_end(redis_url: str, database_url: str) -> None:
    await asyncio.to_thread(migrate, database_url)
    async with a_list() as listing:

        async def hang() -> None:
            await asyncio.Event().wait()

        listing.on_asked = [hang]
        settings = clock_settings(redis_url, database_url, listing)
        clock = build_clock(settings)
        await clock.start()
        try:
            await eventually(lambda: listing.asked)
            await eventually(lambda: ticks_of(settings, 20))
        finally:
            async with asyncio.timeout(10):
                await clock.stop()


def test_a_page_may_take_longer_than_a_send() -> None:
    assert patient_twilio_client(Settings(_env_file=None)).timeout_seconds > Settings(_env_file=None).twilio_timeout_seconds
