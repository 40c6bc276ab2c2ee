"""What Twilio holds and the log never saw is appended once, in order, with its own time; and nothing else is."""

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from handlers.twilio_client import TwilioClient
from projections.lateness import RECONCILER
from streams import crash_points
from streams.partitions import thread_of
from tests.handlers.reconciler_desk import Desk
from tests.handlers.twilio_list import ACCOUNT, ANA, BIA, SENDER, a_list, ago
from tests.handlers.world import Model, World


@pytest_asyncio.fixture
async def desk(world: World) -> AsyncIterator[Desk]:
    async with a_list() as listing, TwilioClient(account_sid=ACCOUNT, auth_token="t", api_url=listing.url) as client:
        yield Desk(world, listing, client)


# --------------------------------------------------------------------------------------------------------- what is missing


async def test_what_no_webhook_brought_is_appended_with_its_own_time_and_in_order(desk: Desk) -> None:
    moments = [ago(minutes=minutes) for minutes in (50, 40, 40, 10)]
    for number, when in enumerate(moments):
        desk.listing.wrote(f"{number}", when)
    await desk.reconcile()
    thread = thread_of(SENDER, ANA)
    received = await desk.received()
    assert [(event.subject, event.source, event.owner) for event in received] == [(thread, RECONCILER, "default")] * 4
    assert [event.time for event in received] == moments
    lines = await desk.world.history(thread)
    assert [line.body for line in lines] == ["0", "1", "2", "3"]


async def test_the_order_is_that_of_writing_however_twilio_lists(desk: Desk) -> None:
    for number in (2, 0, 3, 1):
        desk.listing.wrote(f"{number}", ago(minutes=30 - number))
    await desk.reconcile()
    assert [line.body for line in await desk.world.history(thread_of(SENDER, ANA))] == ["0", "1", "2", "3"]


async def test_what_the_webhook_brought_is_not_appended_again(desk: Desk) -> None:
    sid = desk.listing.wrote("by the webhook", ago(minutes=20))
    await desk.world.write(thread_of(SENDER, ANA), "by the webhook", sid)
    missed = desk.listing.wrote("missed", ago(minutes=10))
    found = await desk.compare()
    assert (found.held, [each.sid for each in found.missed]) == (2, [missed])


async def test_reconciled_twice_nothing_changes(desk: Desk) -> None:
    for number in range(5):
        desk.listing.wrote(f"{number}", ago(minutes=30 - number))
    assert len(await desk.reconcile()) == 5
    assert await desk.reconcile() == []
    assert len(await desk.bodies()) == 5


async def test_two_reconcilers_at_once_and_a_late_webhook_count_a_message_once(desk: Desk) -> None:
    sid = desk.listing.wrote("once", ago(minutes=5))
    one, other = await desk.compare(), await desk.compare()
    for found in (one, other):
        async for _ in desk.reconciler().append(found.missed):
            pass
    thread = thread_of(SENDER, ANA)
    await desk.world.write(thread, "once", sid)
    state = await desk.world.state(thread)
    assert len(await desk.bodies()) == 3
    assert (state.inbound_count, len(state.unanswered)) == (1, 1)


async def test_what_the_fold_cannot_take_is_not_appended_for_ever(desk: Desk) -> None:
    """It never shows in the read model; one process appends it once."""
    desk.listing.wrote("poison", ago(minutes=5))
    reconciler = desk.reconciler()
    assert len(await desk.reconcile(reconciler)) == 1
    await desk.world.rows("SELECT 1")
    await desk.world.view(thread_of(SENDER, ANA))
    async with desk.world.database.transaction() as connection:
        await connection.execute("DELETE FROM messages")
    assert await desk.reconcile(reconciler) == []


async def test_a_sid_that_only_a_callback_told_of_is_still_missing(desk: Desk) -> None:
    sid = desk.listing.wrote("hello", ago(minutes=5))
    await desk.world.status(thread_of(SENDER, ANA), sid, "delivered")
    assert await desk.reconcile() == [sid]
    assert (await desk.world.state(thread_of(SENDER, ANA))).inbound_count == 1


async def test_our_own_messages_are_not_taken_for_a_contacts(desk: Desk) -> None:
    desk.listing.wrote("from us", ago(minutes=5), direction="outbound-api")
    found = await desk.compare()
    assert (found.held, found.missed, found.unreadable) == (0, (), 0)


async def test_only_what_was_written_in_the_period_is_compared(desk: Desk) -> None:
    desk.listing.wrote("before", ago(hours=3))
    inside = desk.listing.wrote("inside", ago(hours=1))
    desk.listing.wrote("after", ago(seconds=-60))
    assert [each.sid for each in (await desk.compare()).missed] == [inside]


async def test_each_address_that_anybody_ever_wrote_to_is_asked_for(desk: Desk) -> None:
    other = "whatsapp:+15550001111"
    await desk.world.write(thread_of(other, ANA))
    await desk.world.view(thread_of(other, ANA))
    assert await desk.reconciler().senders() == sorted([SENDER, other])
    sid = desk.listing.wrote("to the other", ago(minutes=5), to=other)
    assert await desk.reconcile(senders=[SENDER, other]) == [sid]
    assert [event.subject for event in await desk.received() if event.source == RECONCILER] == [thread_of(other, ANA)]


# ------------------------------------------------------------------------------------------- the read model is behind


async def test_what_is_in_the_log_and_not_projected_yet_is_not_appended_again(desk: Desk) -> None:
    """While Twilio lists, the webhook brings it; the comparison waits for the projection."""
    sid = desk.listing.wrote("just now", ago(minutes=5))

    async def brought() -> None:
        await desk.world.write(thread_of(SENDER, ANA), "just now", sid)

    desk.listing.on_asked.append(brought)
    assert await desk.reconcile() == []


async def test_where_the_projector_does_not_come_nothing_is_appended_on_a_guess(desk: Desk) -> None:
    thread = thread_of(SENDER, ANA)
    sid = desk.listing.wrote("in the log", ago(minutes=5))
    for partition in range(desk.world.log.partitions):
        await desk.world.ownership.lose(partition)
    await desk.world.write(thread, "in the log", sid)
    found = await desk.compare(desk.reconciler(fold_seconds=0.2))
    assert (found.held, found.missed, found.unchecked) == (1, (), 1)


# ------------------------------------------------------------------------------------------------------------- pages


async def test_all_pages_are_read_down_to_the_beginning_of_the_period(desk: Desk) -> None:
    desk.listing.page_size = 10
    for number in range(60):
        desk.listing.wrote(f"{number}", ago(minutes=300 - 5 * number))
    found = await desk.compare(hours=2)
    assert [each.form["Body"][0] for each in found.missed] == [str(number) for number in range(37, 60)]
    assert len(desk.listing.asked) == 4, "the fourth page is wholly older"
    assert found.cut_at is None


async def test_a_message_that_moved_to_the_next_page_is_appended_once(desk: Desk) -> None:
    desk.listing.page_size = 3
    for number in range(6):
        desk.listing.wrote(f"{number}", ago(minutes=30 - number))

    async def nothing() -> None: ...

    async def another() -> None:
        desk.listing.wrote("meanwhile", ago(minutes=1))

    desk.listing.on_asked += [nothing, another]
    assert len(await desk.reconcile()) == 6
    assert await desk.bodies() == [str(number) for number in range(6)]


async def test_a_list_without_end_is_cut_and_says_where(desk: Desk) -> None:
    desk.listing.page_size = 2
    moments = [ago(minutes=40 - number) for number in range(10)]
    for number, when in enumerate(moments):
        desk.listing.wrote(f"{number}", when)
    found = await desk.compare(desk.reconciler(most_pages=3))
    assert [each.form["Body"][0] for each in found.missed] == ["4", "5", "6", "7", "8", "9"]
    assert (found.cut_at, found.is_circular) == (moments[4], False)


async def test_a_list_in_a_circle_costs_each_page_once_and_what_was_listed_counts(desk: Desk) -> None:
    desk.listing.page_size = 2
    moments = [ago(minutes=40 - number) for number in range(10)]
    for number, when in enumerate(moments):
        desk.listing.wrote(f"{number}", when)
    desk.listing.leads_back = {1: 1}
    found = await desk.compare(desk.reconciler(most_pages=10_000))
    assert [each.form["Body"][0] for each in found.missed] == ["6", "7", "8", "9"]
    assert (found.cut_at, found.is_circular) == (moments[6], True)
    assert len(desk.listing.asked) == 2


# ---------------------------------------------------------------------------------------------------------------- crashes


class Crash(BaseException):
    """The process ends here."""


def crash_at(monkeypatch: pytest.MonkeyPatch, point: str, time: int) -> Callable[[], int]:
    """End it at this point the so-many-th time it is reached; returns how often that was by now."""
    seen = 0

    def on_reached(name: str) -> None:
        nonlocal seen
        seen += name == point
        if name == point and seen == time:
            raise Crash

    monkeypatch.setattr(crash_points, "on_reached", on_reached)
    return lambda: seen


@pytest.mark.parametrize("point", ["reconciler.compared", "reconciler.appending", "reconciler.appended"])
@pytest.mark.parametrize("time", [1, 2, 3])
async def test_a_crash_between_two_appends_loses_and_doubles_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, point: str, time: int
) -> None:
    for number in range(3):
        desk.listing.wrote(f"{number}", ago(minutes=30 - number), contact=(ANA, BIA)[number % 2])
    crash_at(monkeypatch, point, time if point != "reconciler.compared" else 1)
    with pytest.raises(Crash):
        await desk.reconcile()
    monkeypatch.undo()
    await desk.reconcile()
    assert await desk.bodies() == ["0", "1", "2"]


# ------------------------------------------------------------------------------------------------- it is answered


async def test_what_was_missed_for_an_hour_is_answered_once_and_in_order(desk: Desk) -> None:
    for number in range(3):
        desk.listing.wrote(f"{number}", ago(minutes=55 - number))
    await desk.reconcile()
    await desk.reconcile()
    model, thread = Model(), thread_of(SENDER, ANA)
    responder, sender = desk.world.responder(model), desk.world.sender()
    for delivery in await desk.deliveries(thread, "responder"):
        await responder.respond(delivery)
    for delivery in await desk.deliveries(thread, "sender"):
        await sender.send(delivery)
    assert [question.unanswered for question in model.questions] == [("0", "1", "2")]
    assert desk.world.twilio.bodies() == ["answer 1"]


async def test_what_is_older_than_the_window_is_counted_and_told_and_nobody_is_called(desk: Desk) -> None:
    desk.listing.wrote("yesterday", ago(hours=25))
    await desk.reconcile(hours=48)
    thread = thread_of(SENDER, ANA)
    model = Model()
    responder, sender = desk.world.responder(model), desk.world.sender()
    for delivery in await desk.deliveries(thread, "responder"):
        await responder.respond(delivery)
    for delivery in await desk.deliveries(thread, "sender"):
        await sender.send(delivery)
    assert (model.questions, desk.world.twilio.calls) == ([], [])
    [letter] = (await desk.world.state(thread)).dead_letters
    assert (letter.group, letter.error) == ("responder", "window_closed")
