"""Where workers end, events are handled alone: the one that ends its worker is named, and whoever was only near is innocent."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random

import pytest

from handlers.alone import waiting
from handlers.attempts import DEATHS_ALONE, Attempts, Handle
from handlers.breaker import Breaker
from handlers.model import Answer, ModelFailed, Question, ReplyGenerator
from handlers.respond import RESPONDER_EVENTS, GroupPaused
from handlers.turn import TurnLimits
from handlers.twilio_answers import SendResult, TooManyRequests
from projections.changes import RESPONDER, SENDER
from projections.state import ReplyStatus
from streams.consumer import GroupConsumer
from streams.delivery import Delivery
from streams.engines.memory import MemoryOwnership
from streams.errors import LeaseLost, LogUnavailable
from streams.events import AttemptPaused, ConversationTaken, Event, RedriveRequested, SendStarted
from streams.leaving import OF_THIS_WORK, Leaving
from streams.log import Appended
from streams.partitions import addresses_of
from streams.retry import RetryPolicy
from streams.suspicion import ISOLATE_AFTER
from tests.handlers.fake_twilio import FakeTwilio
from tests.handlers.test_attempts import ANA, BIA, CANARY, Handler, dead
from tests.handlers.world import MINUTE_MS, Model, World, Written, eventually, thread_of


async def die(attempts: object, delivery: Delivery) -> None:
    """Run a delivery whose handler ends the process: what follows is another process."""
    task = asyncio.create_task(attempts.run(delivery))  # type: ignore[attr-defined]
    await asyncio.wait([task])
    assert task.cancelled()


async def end_the_process(_: Delivery) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.Event().wait()


async def test_the_event_that_ends_its_worker_is_named_and_its_neighbours_are_innocent(world: World) -> None:
    killer, neighbour = await world.write(ANA, "boom"), await world.write(BIA)
    for _ in range(DEATHS_ALONE):
        await die(world.attempts(end_the_process), killer.delivered_to(RESPONDER, isolated=True))
    third = Handler()
    await world.attempts(third).run(killer.delivered_to(RESPONDER, isolated=True))
    await world.attempts(third).run(neighbour.delivered_to(RESPONDER, isolated=True))
    assert [delivery.event.subject for delivery in third.handled] == [BIA]
    assert [(letter.event, letter.error) for letter in await dead(world)] == [(killer.event.id, "WorkerEnded")]
    assert await dead(world, BIA) == []


async def test_fewer_deaths_alone_may_be_chance(world: World) -> None:
    written = await world.write(ANA)
    for _ in range(DEATHS_ALONE - 1):
        await die(world.attempts(end_the_process), written.delivered_to(RESPONDER, isolated=True))
    handler = Handler()
    await world.attempts(handler).run(written.delivered_to(RESPONDER, isolated=True))
    assert len(handler.handled) == 1
    assert await dead(world) == []


async def test_a_killer_that_is_delivered_again_is_named_once_and_can_be_redriven(world: World) -> None:
    killer = await world.write(ANA)
    for _ in range(DEATHS_ALONE):
        await die(world.attempts(end_the_process), killer.delivered_to(RESPONDER, isolated=True))
    for _ in range(2):
        await world.attempts(Handler()).run(killer.delivered_to(RESPONDER, isolated=True))
    assert len(await dead(world)) == 1
    redrive = await world.append(RedriveRequested(event=killer.event.id, group=RESPONDER, by="ana"), ANA)
    model = Model()
    await world.attempts(world.responder(model).respond).run(redrive.delivered_to(RESPONDER, isolated=True))
    assert len(model.questions) == 1


async def test_starts_are_logged_only_where_a_killer_is_looked_for(world: World) -> None:
    written = await world.write(ANA)
    await world.attempts(Handler()).run(written.delivered_to(RESPONDER))
    assert await world.facts(ANA, "attempt.started") == []
    await world.attempts(Handler()).run(written.delivered_to(RESPONDER, isolated=True))
    assert len(await world.facts(ANA, "attempt.started")) == 1


async def test_a_reply_that_ends_its_sender_in_a_call_is_left_to_a_person(world: World) -> None:
    written = await world.answered(ANA, "boom")

    async def die_in_the_call() -> None:
        await end_the_process(written.delivered_to(SENDER))

    for _ in range(DEATHS_ALONE):
        world.twilio.script = [die_in_the_call]
        await die(world.attempts(world.sender(grace_seconds=0.05).send), written.delivered_to(SENDER, isolated=True))
    await world.attempts(world.sender().send).run(written.delivered_to(SENDER, isolated=True))
    assert (await world.reply(ANA)).status is ReplyStatus.UNCONFIRMED
    assert [letter.event for letter in await dead(world)] == [written.event.id]


# --------------------------------------------------------------------------------- ended, but not by what was in work

KILLS = 30
OFTEN = DEATHS_ALONE + 1
LONG = RetryPolicy(max_attempts=99, base_seconds=60, max_seconds=60)


async def taken_over(world: World, written: Written, group: str = RESPONDER, *, is_handed_over: bool = False) -> Delivery:
    """As the next owner delivers it, who sees all that stands in the log."""
    await world.view(written.event.subject)
    return written.delivered_to(group, isolated=True, is_handed_over=is_handed_over)


async def is_innocent(world: World, delivery: Delivery) -> bool:
    handler = Handler()
    await world.attempts(handler).run(delivery)
    return bool(handler.handled) and not await dead(world)


async def is_named(world: World, killer: Delivery) -> bool:
    handler = Handler()
    await world.attempts(handler).run(killer)
    letters = [(letter.event, letter.error) for letter in await dead(world)]
    return not handler.handled and letters == [(killer.event.id, "WorkerEnded")]


async def wait_for_ever(_: Delivery) -> None:
    async with waiting():
        await asyncio.Event().wait()


async def kill_while_it_waits(world: World, attempts: Attempts, delivery: Delivery, nth: int = 1) -> None:
    """The worker ends for reasons of its own, when the handler has come to its `nth` wait."""
    began = len(await world.facts(ANA, "attempt.started"))
    task = asyncio.create_task(attempts.run(delivery))

    async def is_waiting() -> bool:
        assert not task.done()
        told = [fact.name for fact in await world.facts(ANA, "attempt.started", "attempt.paused")]
        return told.count("attempt.started") >= began + nth and told[-1] == "attempt.paused"

    await eventually(is_waiting)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def cut_off(attempts: Attempts, delivery: Delivery) -> None:
    """Run a delivery whose handler is cut off: the partition is given back, or lost, and the worker goes on."""

    async def run() -> None:
        OF_THIS_WORK.set(given_back := Leaving())
        given_back.tell()
        await attempts.run(delivery)

    task = asyncio.create_task(run())
    await asyncio.wait([task])
    assert task.cancelled()


def settling(world: World) -> Handle:
    sender = world.sender(grace_seconds=60)
    sender._settler._pauses = LONG
    return sender.send


def throttled(world: World) -> Handle:
    world.twilio.script = [TooManyRequests(20429, 60)]
    return world.sender(retry=LONG).send


def sender_paused(world: World) -> Handle:
    breaker = Breaker(SENDER, pause_seconds=60)
    breaker.trip("20003")
    return world.sender(breaker=breaker).send


def failing(_: World) -> Handle:
    return Handler([ValueError(CANARY)] * 99)


def quiet(world: World) -> Handle:
    return world.responder(Model(), quiet_seconds=60).respond


def model_down(world: World) -> Handle:
    limits = TurnLimits(LONG, request_timeout_seconds=60, turn_timeout_seconds=3600)
    return world.responder(Model([ModelFailed("by hand", "503")] * 99), limits=limits).respond


@pytest.mark.parametrize("handle_in", [settling, throttled, sender_paused, failing, quiet, model_down])
async def test_what_only_waits_is_innocent_however_often_its_worker_ends(
    world: World, handle_in: Callable[[World], Handle]
) -> None:
    group = SENDER if handle_in in {settling, throttled, sender_paused} else RESPONDER
    written = await world.answered(ANA, "Hello.") if group == SENDER else await world.write(ANA)
    if handle_in is settling:
        await world.append(SendStarted(reply="r1", part=0, attempt="an owner before"), ANA)
    for _ in range(OFTEN):
        attempts = world.attempts(handle_in(world), retry=LONG)
        nth = 2 if handle_in is model_down else 1
        await kill_while_it_waits(world, attempts, await taken_over(world, written, group), nth)
    assert await is_innocent(world, await taken_over(world, written, group))


@pytest.mark.parametrize("seed", range(4))
async def test_workers_that_are_killed_at_random_for_other_reasons_convict_nobody(world: World, seed: int) -> None:
    """They end where an event waits, before it has begun, and rarely where it is in work; or give their partition back."""
    random, written = Random(seed), await world.write(ANA)  # noqa: S311 - repeatable, not secret
    moments = ["at work"] * (DEATHS_ALONE - 1) + random.choices(["waits", "before", "given back"], k=KILLS)
    random.shuffle(moments)
    for moment in moments:
        delivery = await taken_over(world, written)
        match moment:
            case "at work":
                await die(world.attempts(end_the_process), delivery)
            case "waits":
                await kill_while_it_waits(world, world.attempts(wait_for_ever), delivery)
            case "given back":
                await cut_off(world.attempts(end_the_process), delivery)
    assert await is_innocent(world, await taken_over(world, written))


async def test_who_is_cut_off_where_a_killer_is_looked_for_counts_nothing(world: World) -> None:
    """By the limit of the drain, or because the lease is lost, which the next owner may take for the end of the worker."""
    written = await world.write(ANA)
    for _ in range(OFTEN):
        await cut_off(world.attempts(end_the_process), await taken_over(world, written))
    assert await is_innocent(world, await taken_over(world, written))


async def test_a_group_that_loses_or_gives_back_a_partition_takes_its_start_back(world: World) -> None:
    partition, ownership, is_running = (await world.write(ANA)).at.partition, MemoryOwnership(), asyncio.Event()

    async def hang(_: Delivery) -> None:
        is_running.set()
        await asyncio.Event().wait()

    async def told() -> list[str]:
        return [fact.name for fact in await world.facts(ANA, "attempt.started", "attempt.paused")]

    consumer = GroupConsumer(world.log, ownership, group=RESPONDER, names=RESPONDER_EVENTS, drain_seconds=0.01)
    await consumer.start(world.attempts(hang).run)
    for takeover in range(1, ISOLATE_AFTER + 2):
        ownership.gain(partition, is_graceful=takeover > ISOLATE_AFTER)
        await eventually(is_running.is_set)
        is_running.clear()
        await (ownership.lose(partition) if takeover <= ISOLATE_AFTER else ownership.give_back(partition))
        assert await told() == ["attempt.started", "attempt.paused"] * max(0, takeover - ISOLATE_AFTER + 1)
    await consumer.stop()


async def test_a_graceful_stop_where_a_killer_is_looked_for_counts_nothing(world: World) -> None:
    """Nor where it told nothing, because the log was away: the partition was handed over."""
    written = await world.write(ANA)
    for _ in range(OFTEN):
        await die(world.attempts(end_the_process), await taken_over(world, written, is_handed_over=True))
    assert await is_innocent(world, await taken_over(world, written, is_handed_over=True))


async def test_deaths_before_a_graceful_stop_count_after_it(world: World) -> None:
    """All end their worker, but for the last one before the partition is handed over."""
    killer = await world.write(ANA, "boom")
    for is_handed_over in [False] * DEATHS_ALONE + [True]:
        await die(world.attempts(end_the_process), await taken_over(world, killer, is_handed_over=is_handed_over))
    assert await is_named(world, await taken_over(world, killer))


@pytest.mark.parametrize("error", [LeaseLost("partition 1"), GroupPaused(RESPONDER)])
async def test_tries_of_one_worker_are_no_deaths(world: World, error: Exception) -> None:
    written = await world.write(ANA)
    for _ in range(OFTEN):
        with pytest.raises(type(error)):
            await world.attempts(Handler([error])).run(written.delivered_to(RESPONDER, isolated=True))
    assert await is_innocent(world, written.delivered_to(RESPONDER, isolated=True))


@dataclass
class TardyLog:
    """While it `is_tardy` nobody is told in time that a start is taken back; `append` is what it does then."""

    append: Callable[[Event], Awaitable[Appended]]
    tardily: Callable[["TardyLog", Event], Awaitable[Appended]]
    is_tardy: bool = False

    async def __call__(self, event: Event) -> Appended:
        if self.is_tardy and isinstance(event.data, AttemptPaused):
            return await self.tardily(self, event)
        return await self.append(event)


async def silent(_: TardyLog, __: Event) -> Appended:
    await asyncio.Event().wait()
    raise AssertionError


async def loading(_: TardyLog, __: Event) -> Appended:
    raise LogUnavailable("LOADING")


async def unanswered(log: TardyLog, event: Event) -> Appended:
    await log.append(event)
    return await silent(log, event)


@pytest.fixture(params=[silent, loading, unanswered])
def tardy_log(world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TardyLog:
    monkeypatch.setattr("handlers.alone.LEAVING_SECONDS", 0.05)
    monkeypatch.setattr("handlers.alone.DONE_SECONDS", 0.05)
    log = TardyLog(world.log.append, request.param)
    monkeypatch.setattr(world.log, "append", log)
    return log


@pytest.mark.parametrize("error", [LeaseLost("partition 1"), GroupPaused(RESPONDER), asyncio.CancelledError()])
async def test_tries_of_one_living_worker_are_no_deaths_though_the_log_does_not_answer_in_time(
    world: World, tardy_log: TardyLog, error: BaseException
) -> None:
    """A stray cancellation is tried again in place like an error, and the log is not even told."""
    written, failures = await world.write(ANA), [error] * OFTEN

    async def fail(_: Delivery) -> None:
        tardy_log.is_tardy = True
        if failures:
            raise failures.pop()

    attempts = world.attempts(fail)
    for _ in range(OFTEN):
        with pytest.raises(type(error)):
            await attempts.run(written.delivered_to(RESPONDER, isolated=True))
        tardy_log.is_tardy = False
    await attempts.run(written.delivered_to(RESPONDER, isolated=True))
    assert tardy_log.is_tardy, "it was handled"
    assert await dead(world) == []
    assert not attempts._left_standing, "nothing is remembered for ever"


async def test_who_loses_a_partition_while_the_log_is_tardy_and_gets_it_again_counts_nothing(
    world: World, tardy_log: TardyLog
) -> None:
    written = await world.write(ANA)

    async def be_cut_off(delivery: Delivery) -> None:
        tardy_log.is_tardy = True
        await end_the_process(delivery)

    attempts = world.attempts(be_cut_off)
    for _ in range(OFTEN):
        await cut_off(attempts, await taken_over(world, written))
        tardy_log.is_tardy = False
    attempts._handle = handler = Handler()
    await attempts.run(await taken_over(world, written))
    assert len(handler.handled) == 1
    assert await dead(world) == []


@pytest.mark.parametrize("tardy_log", [silent, loading], indirect=True)
async def test_who_left_a_start_standing_takes_back_no_more_than_that(world: World, tardy_log: TardyLog) -> None:
    """Others that ended meanwhile count, and so does its own end."""
    killer, handler = await world.write(ANA, "boom"), Handler([GroupPaused(RESPONDER)])
    attempts, tardy_log.is_tardy = world.attempts(handler), True
    with pytest.raises(GroupPaused):
        await attempts.run(killer.delivered_to(RESPONDER, isolated=True))
    tardy_log.is_tardy = False
    for _ in range(DEATHS_ALONE - 1):
        await die(world.attempts(end_the_process), await taken_over(world, killer))
    attempts._handle = end_the_process
    await die(attempts, await taken_over(world, killer))
    assert await is_named(world, await taken_over(world, killer))


# ------------------------------------------------------------------------------------------------- found by ticks only

PARTITION = 1
CAI, DORA, EVA = (thread_of(number, PARTITION) for number in (3, 4, 5))


@dataclass
class Killer:
    """Ends the process where it is asked for this thread, and answers all others."""

    thread: str
    deaths: int = 0

    async def generate(self, question: Question) -> Answer:
        if question.thread == self.thread:
            self.deaths += 1
            raise asyncio.CancelledError
        return Answer("answer", False, False, "by hand", 1, 1)


def responding(world: World, model: ReplyGenerator) -> Attempts:
    responder = world.responder(model)
    return world.attempts(responder.respond, find=responder.overlooked)


class KillingCalls(FakeTwilio):
    """Ends the process where it is to send to this thread, and takes all others."""

    def __init__(self, thread: str) -> None:
        super().__init__()
        _, self._contact = addresses_of(thread)

    async def create_message(self, *, to: str, from_: str, body: str, status_callback: str) -> SendResult:
        if to == self._contact:
            raise asyncio.CancelledError
        return await super().create_message(to=to, from_=from_, body=body, status_callback=status_callback)


def sending(world: World, twilio: FakeTwilio) -> Attempts:
    sender = world.sender(twilio=twilio, grace_seconds=0.05)
    return world.attempts(sender.send, find=sender.overlooked)


async def missed(world: World, *threads: str) -> Sequence[Written]:
    """When these were handled a person had the conversation, so that nothing was to be done; now the handoff is over."""
    written = []
    for thread in threads:
        written.append(await world.write(thread))
        await world.append(ConversationTaken(by="ana"), thread)
        await world.view(thread)
        await responding(world, Model()).run(written[-1].delivered_to(RESPONDER, isolated=True))
    world.clock.ahead_ms += 13 * 60 * MINUTE_MS  # longer than a handoff lasts
    return written


async def die_of_ticks(attempts: Callable[[], Attempts], world: World, group: str) -> int:
    """Workers take over from each other until a tick is handled to its end: how many it ended while events were handled alone."""
    for deaths in range(2 * OFTEN):
        tick = await world.tick(PARTITION)
        task = asyncio.create_task(attempts().run(tick.delivered_to(group, isolated=True)))
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
            return deaths
    raise AssertionError("no killer was named")


async def test_a_message_that_ends_its_worker_and_only_ticks_find_is_named_and_its_neighbour_is_answered(world: World) -> None:
    _, killer, _ = await missed(world, CAI, DORA, EVA)
    model = Killer(DORA)
    assert await die_of_ticks(lambda: responding(world, model), world, RESPONDER) == DEATHS_ALONE
    assert [(letter.event, letter.error) for letter in await dead(world, DORA)] == [(killer.event.id, "WorkerEnded")]
    for neighbour in (CAI, EVA):
        assert await dead(world, neighbour) == []
        assert (await world.state(neighbour)).unanswered == ()
    tick = await world.tick(PARTITION)
    await responding(world, model).run(tick.delivered_to(RESPONDER))
    assert model.deaths == DEATHS_ALONE, "ticks pass it over"


async def test_a_reply_that_ends_its_sender_and_only_ticks_find_is_named_and_its_neighbour_is_sent(world: World) -> None:
    killer, _ = await world.answered(CAI, "boom"), await world.answered(DORA, "Hello.", reply="r2")
    world.clock.ahead_ms += 2 * MINUTE_MS
    twilio = KillingCalls(CAI)
    assert await die_of_ticks(lambda: sending(world, twilio), world, SENDER) == DEATHS_ALONE
    assert [letter.event for letter in await dead(world, CAI)] == [killer.event.id]
    assert (await world.reply(CAI)).status is ReplyStatus.UNCONFIRMED
    assert (await world.reply(DORA, "r2")).status is ReplyStatus.SENT


async def test_two_messages_of_one_thread_that_end_their_worker_are_both_named_in_one_isolation(world: World) -> None:
    (first,) = await missed(world, DORA)
    second = await world.write(DORA)
    assert await die_of_ticks(lambda: responding(world, Killer(DORA)), world, RESPONDER) == 2 * DEATHS_ALONE
    assert [letter.event for letter in await dead(world, DORA)] == [first.event.id, second.event.id]


async def test_who_was_done_with_an_event_ended_not_of_it_though_a_tick_finds_it_later(world: World) -> None:
    """It was handled alone again and again, since its worker ended before the mark had passed it."""
    (written,) = await missed(world, DORA)
    world.clock.ahead_ms -= 13 * 60 * MINUTE_MS
    for _ in range(OFTEN):
        await responding(world, Model()).run(written.delivered_to(RESPONDER, isolated=True))
    world.clock.ahead_ms += 13 * 60 * MINUTE_MS
    assert await die_of_ticks(lambda: responding(world, Model()), world, RESPONDER) == 0
    assert await dead(world, DORA) == []
    assert (await world.state(DORA)).unanswered == ()


async def test_what_fails_for_a_tick_is_left_to_the_next_one_and_ends_no_neighbour(world: World) -> None:
    first, second = await world.write(CAI), await world.write(DORA)
    handler = Handler([LeaseLost("partition 1")])

    async def find(_: Delivery) -> Sequence[Event]:
        return (first.event, second.event)

    tick = await world.tick(PARTITION)
    await world.attempts(handler, find=find).run(tick.delivered_to(RESPONDER, isolated=True))
    assert [delivery.event for delivery in handler.handled] == [second.event]


async def test_what_ticks_find_is_told_only_where_a_killer_is_looked_for(world: World) -> None:
    await missed(world, DORA)
    before = await world.facts(DORA, "attempt.started")
    await responding(world, Model()).run((await world.tick(PARTITION)).delivered_to(RESPONDER))
    assert (await world.state(DORA)).unanswered == ()
    assert await world.facts(DORA, "attempt.started") == before


# ---------------------------------------------------------------------------------------------------------------- waits


async def test_an_event_that_ends_its_worker_after_a_wait_is_named_all_the_same(world: World) -> None:
    killer = await world.write(ANA, "boom")

    async def wait_and_end_the_process(delivery: Delivery) -> None:
        async with waiting():
            await asyncio.sleep(0)
        await end_the_process(delivery)

    for _ in range(DEATHS_ALONE):
        await die(world.attempts(wait_and_end_the_process), await taken_over(world, killer))
    assert await is_named(world, await taken_over(world, killer))


async def test_a_wait_within_a_wait_is_told_once(world: World) -> None:
    async def wait_within(_: Delivery) -> None:
        async with waiting():
            async with waiting():
                await asyncio.sleep(0)
            assert [fact.name for fact in await world.facts(ANA)][-1] == "attempt.paused"

    await world.attempts(wait_within).run((await world.write(ANA)).delivered_to(RESPONDER, isolated=True))
    told = [fact.name for fact in await world.facts(ANA, "attempt.started", "attempt.paused")]
    assert told == ["attempt.started", "attempt.paused"] * 2


async def test_work_after_a_wait_that_was_broken_off_counts_from_the_next_wait_on(world: World) -> None:
    """The handler's own limit ended the wait, and the handler went on."""
    killer = await world.write(ANA, "boom")

    async def go_on_and_end_the_process(delivery: Delivery) -> None:
        with suppress(TimeoutError):
            async with waiting():
                raise TimeoutError
        async with waiting():
            await asyncio.sleep(0)
        await end_the_process(delivery)

    for _ in range(DEATHS_ALONE):
        await die(world.attempts(go_on_and_end_the_process), await taken_over(world, killer))
    assert await is_named(world, await taken_over(world, killer))


async def test_waits_are_told_only_where_a_killer_is_looked_for(world: World) -> None:
    await world.attempts(Handler([ValueError(CANARY)])).run((await world.write(ANA)).delivered_to(RESPONDER))
    assert await world.facts(ANA, "attempt.started", "attempt.paused") == []
