"""Whatever is posted, the answer is never an error of ours."""

import asyncio
import time
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.webhook.asking import ask, ask_as_it_comes
from tests.webhook.logs import FaultyLog
from tests.webhook.posts import FORM_TYPE, TEXT, message, signed
from tests.webhook.serving import door_on
from webhook.door import MESSAGES_PATH, STATUS_PATH
from webhook.limits import Limits


@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(
        st.binary(max_size=200), st.text(max_size=50).map(lambda text: urlencode({"Body": text}, errors="replace").encode())
    ),
    query=st.binary(max_size=30),
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                [b"x-twilio-signature", b"x-twilio-webhooks-signature-settings", b"content-type", b"content-length", b"host"]
            ),
            st.one_of(st.binary(max_size=40), st.just(FORM_TYPE.encode())),
        ),
        max_size=5,
    ),
    path=st.sampled_from([MESSAGES_PATH, STATUS_PATH]),
)
def test_no_bytes_are_an_error_of_ours(body: bytes, query: bytes, headers: list[tuple[bytes, bytes]], path: str) -> None:
    event_log = FaultyLog()
    assert asyncio.run(status_of(event_log, path, query, headers, body)) in {400, 403, 413}
    assert event_log.events == []


@hypothesis_settings(max_examples=200, deadline=None)
@given(fields=st.dictionaries(st.sampled_from(list(TEXT)), st.text(st.characters(codec="utf-8"), max_size=40), max_size=4))
def test_no_signed_form_is_an_error_of_ours(fields: dict[str, str]) -> None:
    assert asyncio.run(ask(door_on(FaultyLog()), message(**fields))) in {200, 400}


LONG = st.tuples(st.text(st.characters(codec="utf-8"), max_size=12), st.integers(1, 3000)).map(lambda each: each[0] * each[1])


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    fields=st.dictionaries(st.sampled_from(list(TEXT)), LONG, max_size=3),
    others=st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=20), LONG), max_size=4),
    times=st.integers(1, 80),
)
def test_no_large_signed_form_is_an_error_of_ours(fields: dict[str, str], others: list[tuple[str, str]], times: int) -> None:
    """Long values, many fields, and the same ones again and again."""
    post = signed(MESSAGES_PATH, [*{**TEXT, **fields}.items(), *(others * times)])
    answer = asyncio.run(ask(door_on(FaultyLog()), post))
    assert answer == 413 if len(post.body) > Limits().body_bytes else answer in {200, 400}


SLOWEST_SECONDS = 0.1
SIZE = Limits().body_bytes
COSTLY = {
    "one name again and again": b"a=1&" * 255,
    "many escapes": b"Body=" + b"%41" * ((SIZE - 5) // 3),
    "broken escapes": b"Body=" + b"%" * (SIZE - 5),
    "one long name": b"x" * SIZE,
    "only separators": b"&" * SIZE,
    "only equals": b"=" * SIZE,
    "pluses": b"Body=" + b"+" * (SIZE - 5),
    "half characters": b"Body=" + b"%ED%A0%80" * ((SIZE - 5) // 9),
    "bytes that are no text": b"\xff" * SIZE,
    "zeroes": b"\x00" * SIZE,
}


@pytest.mark.alone
@pytest.mark.parametrize("body", COSTLY.values(), ids=COSTLY.keys())
def test_no_body_that_passes_the_limit_costs_much_time(body: bytes) -> None:
    """Processor time, so that a busy machine does not count."""
    door, headers = door_on(FaultyLog()), [(b"content-type", FORM_TYPE.encode()), (b"x-twilio-signature", b"A" * 28)]
    began = time.process_time()
    assert asyncio.run(ask_as_it_comes(door, MESSAGES_PATH, b"", headers, body)) in {400, 403}
    assert time.process_time() - began < SLOWEST_SECONDS


async def status_of(event_log: FaultyLog, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> int:
    return await ask_as_it_comes(door_on(event_log), path, query, headers, body)
