"""Whatever is posted, the answer is never an error of ours."""

import asyncio
from urllib.parse import urlencode

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.webhook.asking import ask, ask_as_it_comes
from tests.webhook.logs import FaultyLog
from tests.webhook.posts import FORM_TYPE, TEXT, message
from tests.webhook.serving import door_on
from webhook.door import MESSAGES_PATH, STATUS_PATH


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


async def status_of(event_log: FaultyLog, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> int:
    return await ask_as_it_comes(door_on(event_log), path, query, headers, body)
