"""What Twilio holds and the log never saw is appended once, in order, with its own time; and nothing else is."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from handlers import twilio_client
from handlers.reconciler import MOST_MEDIA_FAILURES, Comparison, MediaUntold, Reconciler
from handlers.twilio_answers import TwilioDenied, TwilioRefused, TwilioUnavailable
from handlers.twilio_client import TwilioClient
from handlers.twilio_inbound import MEDIA_TRIES, Period
from projections.lateness import RECONCILER
from streams import crash_points
from streams.delivery import Delivery
from streams.envelope import decode
from streams.events import Event, MessageReceived
from streams.partitions import thread_of
from tests.handlers.raw_server import Behaviour, answering, breaking_off, endless
from tests.handlers.twilio_list import ACCOUNT, ANA, BIA, SENDER, TwilioList, a_list, ago
from tests.handlers.world import Model, World, events_of

HOUR = timedelta(hours=1)


@dataclass
class Desk:
    """A reconciler between a list by hand and a world."""

    world: World
    listing: TwilioList
    client: TwilioClient

    def reconciler(self, **changes: Any) -> Reconciler:
        given = {"account": ACCOUNT, "sender": SENDER, "most_pages": 20, "fold_seconds": 5.0, **changes}
        return Reconciler(self.world.log, self.world.database, self.client, **given)

    async def compare(
        self, reconciler: Reconciler | None = None, *, hours: float = 2, senders: Iterable[str] = (SENDER,)
    ) -> Comparison:
        now = datetime.now(UTC)
        return await (reconciler or self.reconciler()).compare(Period(now - hours * HOUR, now), senders)

    async def reconcile(self, reconciler: Reconciler | None = None, **how: Any) -> list[str]:
        """The sids that were appended."""
        reconciler = reconciler or self.reconciler()
        found = await self.compare(reconciler, **how)
        return [each.sid async for each, _ in reconciler.append(found.missed)]

    async def received(self) -> list[Event]:
        """What the log holds of messages received, by the time when they were written."""
        events = [event for number in range(self.world.log.partitions) for event in await events_of(self.world.log, number)]
        return sorted((event for event in events if isinstance(event.data, MessageReceived)), key=lambda each: each.time)

    async def deliveries(self, thread: str, group: str) -> list[Delivery]:
        """Everything that the log holds of a thread, as a group gets it."""
        records = await self.world.log.read(dict.fromkeys(range(self.world.log.partitions), 0), limit=1000)
        decoded = ((record, decode(record.value)) for record in records)
        return [Delivery(group, record, event, record.position) for record, event in decoded if event.subject == thread]

    async def bodies(self) -> list[str]:
        return [event.data.body for event in await self.received() if isinstance(event.data, MessageReceived)]


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


# ---------------------------------------------------------------------------------------------------------- a bad list


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (answering(401, {"code": 20003}), TwilioDenied),
        (answering(403, {"code": 20403}), TwilioRefused),
        (answering(404, {"code": 20404}), TwilioRefused),
        (answering(429, {"code": 20429}, Retry_After="1"), TwilioUnavailable),
        (answering(500, {"code": 20500}), TwilioUnavailable),
        (answering(200, b"<html>"), TwilioUnavailable),
        (answering(200, {"messages": {}}), TwilioUnavailable),
        (answering(200, {"messages": [], "next_page_uri": "http://elsewhere.example/"}), TwilioUnavailable),
        (breaking_off(200, b'{"messages": [', 1000), TwilioUnavailable),
    ],
)
async def test_a_page_that_is_missing_or_garbled_appends_nothing(desk: Desk, fault: Behaviour, error: type[Exception]) -> None:
    desk.listing.page_size = 2
    for number in range(4):
        desk.listing.wrote(f"{number}", ago(minutes=30 - number))

    async def then_fails() -> None:
        desk.listing.faults.append(fault)

    async def nothing() -> None: ...

    desk.listing.on_asked += [nothing, then_fails]
    with pytest.raises(error):
        await desk.reconcile()
    assert await desk.bodies() == []
    assert len(await desk.reconcile()) == 4


async def test_garbled_entries_and_strangers_harm_nobody_else_and_are_told_once(desk: Desk) -> None:
    for wrong in (
        {"sid": None},
        {"account_sid": "AC" + "2" * 32},
        {"from": "whatsapp:+55|x"},
        {"from": None},
        {"date_created": None, "date_sent": "soon"},
        {"body": "x" * 70_000},
        {"to": "lie"},
    ):
        desk.listing.wrote("hostile", ago(minutes=5), changed=wrong)
    desk.listing.messages += [None, [], "SM"]  # type: ignore[list-item]
    good = desk.listing.wrote("good \x00\ud83d", ago(minutes=4))
    desk.listing.wrote("9999", ago(minutes=5), date_created="Fri, 31 Dec 9999 23:59:59 -1200", date_sent=None)
    reconciler = desk.reconciler()
    with capture_logs() as lines:
        assert await desk.reconcile(reconciler) == [good]
        assert (await desk.compare(reconciler)).unreadable >= 10
    assert await desk.bodies() == ["good \ufffd\ufffd"]
    told = [line for line in lines if "reason" in line]
    assert 0 < len(told) <= 11
    assert "hostile" not in str(told)
    assert "+55" not in str(told)


async def test_what_is_to_an_address_that_was_not_asked_for_makes_no_sender_of_it(desk: Desk) -> None:
    """Else Twilio, or who answers in its place, could choose from which address we answer."""
    stranger = "whatsapp:+15559990000"
    foreign = desk.listing.wrote("hello", ago(minutes=5), to="lie")
    desk.listing.messages[-1]["to"] = stranger
    desk.listing.shows_all = True
    good = desk.listing.wrote("to us", ago(minutes=4))
    reconciler = desk.reconciler()
    with capture_logs() as lines:
        assert await desk.reconcile(reconciler) == [good]
    await desk.world.view(thread_of(SENDER, ANA))
    assert await reconciler.senders() == [SENDER]
    [line] = [line for line in lines if line.get("sid") == foreign]
    assert (line["log_level"], line["fields"]) == ("warning", ("to",))
    assert stranger not in str(lines)


async def test_what_has_no_sid_is_told_without_what_stands_there(desk: Desk) -> None:
    desk.listing.wrote("hello", ago(minutes=5), changed={"sid": "whatsapp:+5511999990000"})
    with capture_logs() as lines:
        await desk.reconcile()
    assert "+55" not in str(lines)
    assert any("reason" in line for line in lines)


# ----------------------------------------------------------------------------------------------------------- the future


async def test_what_twilio_dates_in_the_future_counts_as_written_now_and_is_told_once(desk: Desk) -> None:
    sid = desk.listing.wrote("from tomorrow", ago(days=-1))
    before = datetime.now(UTC)
    reconciler = desk.reconciler()
    with capture_logs() as lines:
        assert await desk.reconcile(reconciler) == [sid]
        assert await desk.reconcile(reconciler) == []
    [event] = await desk.received()
    assert before <= event.time <= datetime.now(UTC)
    [line] = [line for line in lines if line["log_level"] == "warning"]
    assert line["sid"] == sid


async def test_the_future_belongs_to_no_period_of_the_past(desk: Desk) -> None:
    desk.listing.wrote("from tomorrow", ago(days=-1))
    period = Period(ago(hours=3), ago(hours=1))
    assert (await desk.reconciler().compare(period, [SENDER])).missed == ()


# --------------------------------------------------------------------------------------------------------------- media


async def test_a_file_is_listed_with_the_address_that_a_webhook_would_tell(desk: Desk) -> None:
    sid = desk.listing.wrote("look", ago(minutes=5), num_media="1")
    desk.listing.media[sid] = [{"sid": "ME" + "5" * 32, "content_type": "image/jpeg", "uri": "https://elsewhere.example"}]
    await desk.reconcile()
    [event] = await desk.received()
    assert isinstance(event.data, MessageReceived)
    assert (event.data.kind, event.data.body) == ("image", "[image] look")
    [media] = event.data.media
    assert media.url == f"{desk.listing.url}/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}/Media/ME{'5' * 32}"


async def test_a_file_that_twilio_has_forgotten_loses_no_message(desk: Desk) -> None:
    desk.listing.wrote("look", ago(minutes=5), num_media="1")
    await desk.reconcile()
    assert await desk.bodies() == ["[unsupported message: media] look"]


async def test_a_file_that_can_never_be_listed_holds_up_the_others_for_a_few_rounds_only(desk: Desk) -> None:
    desk.listing.wrote("look", ago(minutes=5), num_media="1")
    desk.listing.wrote("after it", ago(minutes=4))
    desk.listing.media_faults = [answering(500)] * 10
    reconciler = desk.reconciler()
    for _ in range(MEDIA_TRIES - 1):
        with pytest.raises(TwilioUnavailable):
            await desk.reconcile(reconciler)
        assert await desk.bodies() == []
    await desk.reconcile(reconciler)
    assert await desk.bodies() == ["[unsupported message: media] look", "after it"]


NO_LISTS: list[Any] = [None, {}, "x", [[]], [None, 7], [{"content_type": "image/png"}], [{"sid": {}}], [{"sid": "/../x"}]]


@pytest.mark.parametrize("media", NO_LISTS)
async def test_an_odd_media_list_holds_up_nobody_else_and_loses_nothing(desk: Desk, media: Any) -> None:
    odd = desk.listing.wrote("look", ago(minutes=5), num_media="1")
    desk.listing.media[odd] = media
    desk.listing.wrote("after it", ago(minutes=4))
    desk.listing.wrote("by another", ago(minutes=3), contact=BIA)
    reconciler = desk.reconciler()
    for _ in range(MEDIA_TRIES):
        with suppress(MediaUntold):
            await desk.reconcile(reconciler)
        assert "by another" in await desk.bodies()
    lines = await desk.world.history(thread_of(SENDER, ANA))
    assert [line.body for line in lines] == ["[unsupported message: media] look", "after it"]


async def test_a_media_list_without_end_holds_up_nobody_else(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_client, "LARGEST_ANSWER_BYTES", 1024 * 1024)
    odd = desk.listing.wrote("look", ago(minutes=5), num_media="1")
    desk.listing.media_faults = [endless(200)] * MEDIA_TRIES
    other = desk.listing.wrote("by another", ago(minutes=3), contact=BIA)
    reconciler = desk.reconciler()
    with capture_logs() as lines:
        with pytest.raises(MediaUntold):
            await desk.reconcile(reconciler)
        assert [event.data.sid for event in await desk.received() if isinstance(event.data, MessageReceived)] == [other]
    [line] = [line for line in lines if line["log_level"] == "warning"]
    assert (line["sid"], line["tries"]) == (odd, 1)


async def test_while_no_media_list_comes_few_are_asked_for_and_words_are_appended(desk: Desk) -> None:
    for number in range(MOST_MEDIA_FAILURES + 5):
        desk.listing.wrote("look", ago(minutes=50 - number), num_media="1", contact=f"whatsapp:+552190000{number:04}")
    desk.listing.wrote("words", ago(minutes=3))
    desk.listing.media_faults = [answering(503)] * 100
    with pytest.raises(MediaUntold):
        await desk.reconcile()
    assert await desk.bodies() == ["words"]
    assert len(desk.listing.media_faults) == 100 - MOST_MEDIA_FAILURES


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
