"""The log is down, slow, or wrong: nothing is called stored that is not, and the webhook comes back by itself."""

import asyncio
import signal
import time
from types import FrameType

import pytest

from streams.errors import LogMismatch
from tests.webhook.logs import FaultyLog, down
from tests.webhook.posts import message, status
from tests.webhook.serving import door_on, serving
from webhook.limits import Limits

IMPATIENT = Limits(append_seconds=0.2)


async def test_a_message_is_refused_while_the_log_is_down_and_stored_once_it_is_back() -> None:
    event_log = FaultyLog()
    async with serving(door_on(event_log)) as client:
        event_log.failure = down()
        for post in (message(), status()):
            answer = await client.post(post)
            assert answer.status == 503
            assert answer.headers["retry-after"] == "1"
        assert (await client.get("/health/ready")).status == 503
        assert (await client.get("/health/live")).status == 200
        assert event_log.events == []
        event_log.failure = None
        assert (await client.post(message())).status == 200
        assert (await client.get("/health/ready")).status == 200
    assert len(event_log.events) == 1


async def test_the_webhook_starts_without_the_log_and_verifies_it_before_the_first_append() -> None:
    event_log = FaultyLog()
    event_log.failure = down()
    async with serving(door_on(event_log)) as client:
        assert (await client.get("/health/ready")).status == 503
        assert (await client.post(message())).status == 503
        event_log.failure = None
        starts = event_log.starts
        answers = await asyncio.gather(*(client.post(message()) for _ in range(5)))
        assert {answer.status for answer in answers} == {200}
        assert event_log.starts == starts + 1


async def test_the_default_deadline_leaves_twilio_an_answer_within_five_seconds() -> None:
    event_log = FaultyLog()
    async with serving(door_on(event_log)) as client:
        event_log.is_hanging = True
        asked = time.monotonic()
        assert (await client.post(message())).status == 503
        assert time.monotonic() - asked < 5


@pytest.mark.parametrize("hangs_from_the_start", [True, False])
async def test_a_log_that_never_answers_is_a_log_that_is_down(hangs_from_the_start: bool) -> None:
    event_log = FaultyLog()
    event_log.is_hanging = hangs_from_the_start
    async with serving(door_on(event_log, IMPATIENT)) as client:
        event_log.is_hanging = True
        answers = await asyncio.gather(*(client.post(message()) for _ in range(20)))
        assert {answer.status for answer in answers} == {503}
        assert (await client.get("/health/ready")).status == 503


async def test_an_append_whose_outcome_is_unknown_is_not_called_stored() -> None:
    event_log = FaultyLog()
    async with serving(door_on(event_log, IMPATIENT)) as client:
        event_log.is_mute = True
        assert (await client.post(message())).status == 503
        assert len(event_log.events) == 1


async def test_a_wrong_log_that_comes_up_later_stops_the_process() -> None:
    received: list[int] = []

    def remember(number: int, _: FrameType | None) -> None:
        received.append(number)

    event_log = FaultyLog()
    event_log.failure = down()
    async with serving(door_on(event_log)) as client:
        before = signal.signal(signal.SIGTERM, remember)
        try:
            event_log.failure = LogMismatch("4 partitions, not 8")
            assert (await client.post(message())).status == 503
            assert (await client.get("/health/ready")).status == 503
        finally:
            signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM, signal.SIGTERM]
    assert event_log.events == []
