"""Whatever Twilio lists, or who answers in its place: what is odd is told and holds up nobody else."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from handlers import twilio_client
from handlers.reconciler import MOST_MEDIA_FAILURES, MediaUntold
from handlers.twilio_answers import TwilioDenied, TwilioRefused, TwilioUnavailable
from handlers.twilio_client import TwilioClient
from handlers.twilio_inbound import MEDIA_TRIES, Period
from projections.policy import WINDOW_MS
from streams.events import MessageReceived
from streams.partitions import thread_of
from tests.handlers.raw_server import Behaviour, answering, breaking_off, endless
from tests.handlers.reconciler_desk import Desk
from tests.handlers.twilio_list import ACCOUNT, ANA, BIA, SENDER, a_list, ago
from tests.handlers.world import World


@pytest_asyncio.fixture
async def desk(world: World) -> AsyncIterator[Desk]:
    async with a_list() as listing, TwilioClient(account_sid=ACCOUNT, auth_token="t", api_url=listing.url) as client:
        yield Desk(world, listing, client)


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
    """The event keeps Twilio's date; WhatsApp's window is folded as if it had been written when the log heard of it."""
    tomorrow = ago(days=-1)
    sid = desk.listing.wrote("from tomorrow", tomorrow)
    reconciler = desk.reconciler()
    with capture_logs() as lines:
        assert await desk.reconcile(reconciler) == [sid]
        assert await desk.reconcile(reconciler) == []
    [event] = await desk.received()
    assert event.time == tomorrow
    [delivery] = await desk.deliveries(thread_of(SENDER, ANA), "responder")
    state = await desk.world.state(thread_of(SENDER, ANA))
    assert state.window_closes_at_ms == delivery.record.appended_at_ms + WINDOW_MS
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


@pytest.mark.parametrize("status", [500, 403, 405])
async def test_a_file_that_can_never_be_listed_holds_up_the_others_for_a_few_rounds_only(desk: Desk, status: int) -> None:
    desk.listing.wrote("look", ago(minutes=5), num_media="1")
    desk.listing.wrote("after it", ago(minutes=4))
    desk.listing.media_faults = [answering(status)] * 10
    reconciler = desk.reconciler()
    for _ in range(MEDIA_TRIES - 1):
        with pytest.raises(TwilioUnavailable):
            await desk.reconcile(reconciler)
        assert await desk.bodies() == []
    await desk.reconcile(reconciler)
    assert await desk.bodies() == ["[unsupported message: media] look", "after it"]


async def test_a_file_that_an_operator_must_let_us_see_comes_with_its_message_once_that_is_mended(desk: Desk) -> None:
    sid = desk.listing.wrote("look", ago(minutes=5), num_media="1")
    desk.listing.media[sid] = [{"sid": "ME" + "5" * 32, "content_type": "image/jpeg"}]
    desk.listing.wrote("by another", ago(minutes=3), contact=BIA)
    desk.listing.media_faults = [answering(403, {"code": 20403})]
    reconciler = desk.reconciler()
    with pytest.raises(MediaUntold):
        await desk.reconcile(reconciler)
    assert await desk.bodies() == ["by another"]
    await desk.reconcile(reconciler)
    assert await desk.bodies() == ["[image] look", "by another"]


async def test_a_file_of_which_twilio_refuses_to_tell_holds_up_nobody(desk: Desk) -> None:
    """The request itself is to blame: another try would come to the same."""
    desk.listing.wrote("look", ago(minutes=5), num_media="1")
    desk.listing.media_faults = [answering(400, {"code": 20001})]
    await desk.reconcile()
    assert await desk.bodies() == ["[unsupported message: media] look"]


NO_LISTS: list[Any] = [None, {}, "x", [[]], [None, 7], [{"content_type": "image/png"}], [{"sid": {}}], [{"sid": "/../x"}]]


@pytest.mark.parametrize("media", NO_LISTS)
async def test_an_odd_media_list_holds_up_nobody_else_and_loses_no_message(desk: Desk, media: Any) -> None:
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
