import asyncio
import base64
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from handlers import twilio_client
from handlers.twilio_answers import (
    Accepted,
    CircularList,
    ListedMessage,
    NeverConnected,
    Refused,
    SendResult,
    TooManyRequests,
    TwilioDenied,
    TwilioForbidden,
    TwilioRefused,
    TwilioUnavailable,
    Unknown,
)
from handlers.twilio_client import TwilioClient
from tests.handlers.raw_server import (
    Behaviour,
    RawServer,
    answering,
    breaking_off,
    endless,
    hanging,
    resetting,
    serving,
    stalling,
)

ACCOUNT = "AC" + "1" * 32
TO, FROM = "whatsapp:+5511999990000", "whatsapp:+14155238886"
BODY = "Olá + tudo & bem? 👋"
CREATED = {"sid": "SM1", "status": "queued"}


def _client(url: str, timeout_seconds: float = 5.0) -> TwilioClient:
    return TwilioClient(account_sid=ACCOUNT, auth_token="token", api_url=url, timeout_seconds=timeout_seconds)


@asynccontextmanager
async def _served(*script: Behaviour, timeout_seconds: float = 5.0) -> AsyncIterator[tuple[TwilioClient, RawServer]]:
    async with serving(*script) as server, _client(server.url, timeout_seconds) as client:
        yield client, server


async def _send(client: TwilioClient) -> SendResult:
    return await client.create_message(to=TO, from_=FROM, body=BODY, status_callback="https://prosa.example/status?attempt=1")


# ------------------------------------------------------------------------------------------------------------ create


async def test_a_message_is_created_as_twilio_documents_it() -> None:
    async with _served(answering(201, CREATED)) as (client, server):
        assert await _send(client) == Accepted("SM1", "queued")
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json")
    assert asked.form == {"To": TO, "From": FROM, "Body": BODY, "StatusCallback": "https://prosa.example/status?attempt=1"}
    assert asked.headers["authorization"] == "Basic " + base64.b64encode(f"{ACCOUNT}:token".encode()).decode()


@pytest.mark.parametrize(
    ("behaviour", "result"),
    [
        (answering(400, {"code": 21610, "status": 400}), Refused(400, 21610)),
        (answering(401, {"code": 20003}), Refused(401, 20003)),
        (answering(404, b"<html>not here</html>"), Refused(404, None)),
        (answering(400, [1]), Refused(400, None)),
        (breaking_off(400, b'{"code": 21', 100), Refused(400, None)),
        (answering(429, {"code": 20429}, Retry_After="7"), TooManyRequests(20429, 7.0)),
        (answering(429, {"code": 20429}), TooManyRequests(20429, None)),
        (answering(429, b"", Retry_After="soon"), TooManyRequests(None, None)),
        (answering(429, b"", Retry_After="²"), TooManyRequests(None, None)),
        (answering(429, b"", Retry_After="Thu, 24 Aug 2023 05:01:45 GMT"), TooManyRequests(None, 0.0)),
        (answering(500, {"code": 20500}), Unknown("status 500")),
        (answering(503, b""), Unknown("status 503")),
        (answering(201, b"not JSON"), Unknown("garbled")),
        (answering(201, {"status": "queued"}), Unknown("garbled")),
        (answering(201, [CREATED]), Unknown("garbled")),
        (answering(201, b"[" * 200_000), Unknown("garbled")),
        (breaking_off(201, b'{"sid": "SM1"', 100), Unknown("ClientPayloadError")),
    ],
)
async def test_each_answer_says_what_is_known_of_the_message(behaviour: Behaviour, result: SendResult) -> None:
    async with _served(behaviour) as (client, server):
        assert await _send(client) == result
        assert len(server.asked) == 1, "a create call is made once"


async def test_after_a_reset_the_outcome_is_unknown() -> None:
    async with _served(resetting) as (client, server):
        assert isinstance(await _send(client), Unknown)
        assert len(server.asked) == 1


@pytest.mark.parametrize("behaviour", [hanging, stalling(201)])
async def test_a_call_that_hangs_ends_by_its_deadline_and_its_outcome_is_unknown(behaviour: Behaviour) -> None:
    async with _served(behaviour, timeout_seconds=0.2) as (client, server):
        started = time.monotonic()
        assert await _send(client) == Unknown("timeout")
        assert time.monotonic() - started < 1.0
        assert len(server.asked) == 1


async def test_a_refusal_counts_even_if_its_body_never_comes() -> None:
    async with _served(stalling(400), timeout_seconds=0.2) as (client, _):
        assert await _send(client) == Refused(400, None)


async def test_an_answer_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_client, "LARGEST_ANSWER_BYTES", 1024 * 1024)
    async with _served(endless(201)) as (client, _):
        assert await _send(client) == Unknown("ClientPayloadError")


async def test_without_a_connection_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with _client(f"http://127.0.0.1:{port}") as client:
        assert isinstance(await _send(client), NeverConnected)
    async with _client("http://no-such-host.invalid", timeout_seconds=2.0) as client:
        assert isinstance(await _send(client), NeverConnected)


async def test_a_connection_that_is_not_made_in_time_sent_nothing() -> None:
    async with serving(hanging) as server, _client(server.url.replace("http:", "https:"), 0.2) as client:
        assert await _send(client) == NeverConnected("timeout"), "the TLS handshake was never answered"
        assert server.asked == []


async def test_a_redirect_is_not_followed() -> None:
    async with serving(answering(201, CREATED)) as elsewhere:
        async with _served(answering(307, b"", Location=f"{elsewhere.url}/")) as (client, _):
            assert await _send(client) == Unknown("status 307")
        assert elsewhere.asked == []


async def test_each_call_has_a_connection_of_its_own() -> None:
    async def keeping_alive(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 201 X\r\nContent-Length: 15\r\n\r\n{"sid": "SM1"} ')
        await writer.drain()
        await asyncio.Event().wait()

    async with _served(keeping_alive, answering(201, CREATED)) as (client, server):
        for _ in range(2):
            assert await _send(client) == Accepted("SM1", "queued")
        assert len(server.asked) == 2


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    async with _served(answering(201, CREATED)) as (client, _):
        assert await _send(client) == Accepted("SM1", "queued")


# ------------------------------------------------------------------------------------------------------ list and fetch

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)


def _resource(sid: str, seconds: float = 0, **changes: Any) -> dict[str, Any]:
    return {
        "sid": sid,
        "body": BODY,
        "status": "delivered",
        "direction": "outbound-api",
        "date_created": format_datetime(NOON + timedelta(seconds=seconds)),
        "error_code": None,
    } | changes


def _page(*messages: Any, next_page_uri: str | None = None) -> Behaviour:
    return answering(200, {"messages": list(messages), "next_page_uri": next_page_uri})


async def _sids(client: TwilioClient, since_ms: int = NOON_MS - 60_000) -> list[str]:
    return [message.sid for message in await client.list_messages(to=TO, from_=FROM, since_ms=since_ms)]


async def test_a_message_is_listed_with_what_settling_needs() -> None:
    async with _served(_page(_resource("SM1", error_code=63016))) as (client, server):
        listed = await client.list_messages(to=TO, from_=FROM, since_ms=NOON_MS)
    assert listed == (ListedMessage("SM1", BODY, NOON_MS, "delivered", "outbound-api", 63016),)
    assert server.asked[0].query == {"To": TO, "From": FROM, "PageSize": "200"}


async def test_every_page_is_read() -> None:
    following = "/2010-04-01/Accounts/AC/Messages.json?To=whatsapp%3A%2B55&PageToken=PASM1%20"
    pages = (_page(_resource("SM3"), next_page_uri=following), _page(next_page_uri="/2"), _page(_resource("SM1")))
    async with _served(*pages) as (client, server):
        assert await _sids(client) == ["SM3", "SM1"]
    assert [asked.target for asked in server.asked[1:]] == [following, "/2"]


async def test_a_message_that_slid_to_the_next_page_is_listed_once() -> None:
    pages = (_page(_resource("SM2"), _resource("SM1"), next_page_uri="/2"), _page(_resource("SM1"), _resource("SM0")))
    async with _served(*pages) as (client, _):
        assert await _sids(client) == ["SM2", "SM1", "SM0"]


async def test_older_messages_are_left_out_and_end_the_paging() -> None:
    pages = (
        _page(_resource("SM3", 1), _resource("SM2", -1), next_page_uri="/2"),
        _page(_resource("SM1", -2), next_page_uri="/3"),
        answering(500),
    )
    async with _served(*pages) as (client, server):
        assert await _sids(client, since_ms=NOON_MS) == ["SM3"]
        assert len(server.asked) == 2


async def test_a_message_of_the_same_second_is_listed() -> None:
    async with _served(_page(_resource("SM1"))) as (client, _):
        assert await _sids(client, since_ms=NOON_MS + 999) == ["SM1"], "Twilio's dates are whole seconds"


@pytest.mark.parametrize(
    "second",
    [
        answering(500),
        answering(429),
        answering(200, b"not JSON"),
        answering(200, {"next_page_uri": None}),
        answering(200, {"messages": [{"sid": "SM1"}]}),
        answering(200, {"messages": ["SM1"]}),
        _page(_resource("SM1", date_created="yesterday")),
        _page(_resource("SM1", date_created=None)),
        breaking_off(200, b'{"messages": []', 100),
        answering(302, b"", Location="/"),
        resetting,
        stalling(200),
    ],
)
async def test_a_list_that_is_not_whole_is_no_list(second: Behaviour) -> None:
    async with _served(_page(_resource("SM2"), next_page_uri="/2"), second, timeout_seconds=0.5) as (client, _):
        with pytest.raises(TwilioUnavailable):
            await _sids(client)


@pytest.mark.parametrize(
    "elsewhere",
    ["http://127.0.0.1:9/", 7, "@127.0.0.1:9/", "/ HTTP/1.1\r\nHost: evil", "/?\x00", "/a b", "/é", "/#again", "/" + "a" * 5000],
)
async def test_credentials_do_not_leave_for_another_host(elsewhere: Any) -> None:
    async with _served(answering(200, {"messages": [], "next_page_uri": elsewhere})) as (client, server):
        with pytest.raises(TwilioUnavailable):
            await _sids(client)
        assert len(server.asked) == 1


@pytest.mark.parametrize("path", ["//{}/", "/\\{}/", "/@{}/", "/:80@{}/", "/?http://{}/"])
async def test_a_path_that_looks_like_another_host_is_one_of_our_own(path: str) -> None:
    async with serving(answering(200, {"messages": []})) as elsewhere:
        following = path.format(elsewhere.url.removeprefix("http://"))
        async with _served(_page(_resource("SM2"), next_page_uri=following), _page(_resource("SM1"))) as (client, server):
            assert await _sids(client) == ["SM2", "SM1"]
        assert (len(server.asked), elsewhere.asked) == (2, [])


async def test_a_list_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_client, "MOST_PAGES", 3)
    async with _served(*(_page(_resource("SM1"), next_page_uri=f"/{number}") for number in range(5))) as (client, server):
        with pytest.raises(TwilioUnavailable, match="more than 3 pages"):
            await _sids(client)
        assert len(server.asked) == 3


@pytest.mark.parametrize("circle", [["/a"], ["/a", "/b"], ["/a", "/b", "/c"]])
async def test_no_page_of_a_list_in_a_circle_is_asked_for_twice(circle: list[str]) -> None:
    pages = [_page(_resource("SM1"), next_page_uri=following) for following in [*circle, circle[0]]]
    async with _served(*pages) as (client, server):
        with pytest.raises(CircularList):
            await _sids(client)
        assert len(server.asked) == len(circle) + 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, TwilioDenied), (403, TwilioForbidden), (404, TwilioForbidden), (405, TwilioForbidden), (400, TwilioRefused)],
)
async def test_a_refused_list_raises_by_its_kind(status: int, error: type[Exception]) -> None:
    async with _served(answering(status, {"code": 1, "message": f"{TO} is {BODY}"})) as (client, _):
        with pytest.raises(error) as raised:
            await _sids(client)
        assert type(raised.value) is error
        assert BODY not in str(raised.value)
        assert TO not in str(raised.value)


# ------------------------------------------------------------------------------------------------------------- typing


async def test_typing_is_shown_below_the_message() -> None:
    async with _served(answering(200, {"success": True})) as (client, server):
        with capture_logs() as logs:
            await client.show_typing("SM1")
    assert server.asked[0].path == "/v2/Indicators/Typing.json"
    assert server.asked[0].form == {"channel": "whatsapp", "messageId": "SM1"}
    assert logs == []


@pytest.mark.parametrize("behaviour", [answering(404, {"code": 20404}), answering(500), resetting, hanging])
async def test_typing_that_fails_is_only_logged(behaviour: Behaviour) -> None:
    async with _served(behaviour, timeout_seconds=0.2) as (client, _):
        with capture_logs() as logs:
            await client.show_typing("SM1")
    assert [line["event"] for line in logs] == ["typing_indicator.failed"]


async def test_typing_at_twilio_has_a_host_of_its_own() -> None:
    assert TwilioClient(account_sid=ACCOUNT, auth_token="t")._messaging_url == "https://messaging.twilio.com"
    assert _client("http://127.0.0.1:9/")._messaging_url == "http://127.0.0.1:9"
