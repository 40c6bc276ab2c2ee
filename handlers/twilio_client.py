"""
Our few calls to Twilio, each made once.

Twilio's own asynchronous client ignores its timeout and posts again after a 5xx, which sends a message twice; so these calls are
made here. Nothing is retried, no redirect is followed, and each call has one deadline for all of it. Every call opens its own
connection: on a kept one, a reset that comes because the server closed it meanwhile looks like one that comes after the server
took the message, and each of these would have to be settled. On a fresh one, what fails before it stands was never sent. And
its connection ends with the call, so that nothing of it is sent later.

    TwilioUnavailable (TransientError)   no complete answer, or not now
    └── CircularList                     a list leads back to a page of itself
    TwilioRefused (PermanentError)       Twilio refused the request
    └── TwilioForbidden                  and refuses this account every one of the kind
    TwilioDenied (FatalError)            Twilio refused the credentials

Errors carry statuses and codes, never bodies or addresses.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from handlers.abortive_connector import AbortiveConnector
from handlers.measured import calling
from handlers.twilio_answers import (
    Call,
    CircularList,
    ListedMessage,
    SendResult,
    TwilioForbidden,
    TwilioRefused,
    TwilioUnavailable,
    entries_of,
    listed,
    read_result,
    send_result,
)
from telemetry import log

TWILIO_API_URL = "https://api.twilio.com"
TWILIO_MESSAGING_URL = "https://messaging.twilio.com"

LARGEST_ANSWER_BYTES = 8 * 1024 * 1024
PAGE_SIZE = 200
MOST_PAGES = 100

_PATH = re.compile(r"/[!\"$-~]{0,4000}")
"""What follows our own scheme and host, and nothing else: every call carries the credentials."""


class TwilioClient:
    """One account at Twilio, or at a stand-in. Use it within one event loop, and close it."""

    def __init__(self, *, account_sid: str, auth_token: str, api_url: str = TWILIO_API_URL, timeout_seconds: float = 5.0) -> None:
        self._api_url = api_url.rstrip("/")
        self._messaging_url = TWILIO_MESSAGING_URL if self._api_url == TWILIO_API_URL else self._api_url
        self._account_url = f"{self._api_url}/2010-04-01/Accounts/{account_sid}"
        self._messages_url = f"{self._account_url}/Messages"
        self._authorization = aiohttp.encode_basic_auth(account_sid, auth_token)
        self._timeout_seconds = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    @property
    def timeout_seconds(self) -> float:
        """After this a call has ended, one way or another, and no byte of it is sent any more."""
        return self._timeout_seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections; a later call opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def create_message(self, *, to: str, from_: str, body: str, status_callback: str) -> SendResult:
        """Ask Twilio once to send a message. Never raises for what the network or Twilio does."""
        form = {"To": to, "From": from_, "Body": body, "StatusCallback": status_callback}
        return send_result(await self._call("POST", f"{self._messages_url}.json", form=form))

    async def list_messages(self, *, to: str, from_: str | None = None, since_ms: int) -> tuple[ListedMessage, ...]:
        """
        Every message to this address that Twilio made at or after `since_ms`, the newest first.

        The list is whole: a page that is missing or garbled raises `TwilioUnavailable`. It is not asked for by date, since Twilio
        filters by the date of sending, which a queued message does not have yet; paging ends at the first page that is
        wholly older.
        """
        since_ms = since_ms // 1000 * 1000
        found: dict[str, ListedMessage] = {}
        async with aclosing(self.pages({"To": to} | ({"From": from_} if from_ else {}), most=MOST_PAGES)) as pages:
            async for page in pages:
                messages = [listed(message) for message in page]
                recent = [message for message in messages if message.created_at_ms >= since_ms]
                # pages shift when a message arrives meanwhile, so that one may be listed twice
                found |= {message.sid: message for message in recent}
                if messages and not recent:
                    break
        return tuple(found.values())

    async def pages(self, query: Mapping[str, str], *, most: int) -> AsyncGenerator[Sequence[Any], None]:
        """
        The list of messages, a page at a time, the newest first, as Twilio words them.

        Raises `TwilioUnavailable` for a page that is missing or garbled, and where there is another one after `most` pages, and
        `CircularList` before a page is asked for a second time.
        """
        url = str(URL(f"{self._messages_url}.json").with_query({**query, "PageSize": str(PAGE_SIZE)}))
        seen: set[str] = set()
        for _ in range(most):
            seen.add(url)
            page = await self._page(url)
            yield entries_of(page, "messages")
            following = page.get("next_page_uri")
            if not following:
                return
            if not isinstance(following, str) or not _PATH.fullmatch(following):
                raise TwilioUnavailable("list: the next page is not a path")
            url = self._api_url + following
            if url in seen:
                raise CircularList(f"list: page {len(seen)} leads back to one before it")
        raise TwilioUnavailable(f"list: more than {most} pages")

    async def media_of(self, message_sid: str) -> Sequence[Any]:
        """The files of a message as Twilio words them, the first page of them; none where it has forgotten the message."""
        page = read_result(await self._call("GET", f"{self._messages_url}/{message_sid}/Media.json"))
        return entries_of(page, "media_list") if page else ()

    def media_url(self, message_sid: str, media_sid: str) -> str:
        """Where a file is fetched, as a webhook words it."""
        return f"{self._messages_url}/{message_sid}/Media/{media_sid}"

    async def account_status(self) -> str:
        """`active`, `suspended` or `closed`. It changes nothing, and proves the credentials."""
        account = read_result(await self._call("GET", f"{self._account_url}.json"))
        if account is None:
            raise TwilioRefused("account: status 404")
        return str(account.get("status"))

    async def show_typing(self, message_sid: str) -> None:
        """Show typing dots below the contact's message, which also marks it as read. A failure is only logged."""
        form = {"channel": "whatsapp", "messageId": message_sid}
        call = await self._call("POST", f"{self._messaging_url}/v2/Indicators/Typing.json", form=form)
        if call.status is None or call.status >= 300:
            log.info("typing_indicator.failed", status=call.status, code=call.code, error=call.error)

    async def _page(self, url: str) -> dict[str, Any]:
        page = read_result(await self._call("GET", url))
        if page is None:
            raise TwilioForbidden("list: status 404")
        return page

    @calling
    async def _call(self, method: str, url: str, *, form: dict[str, str] | None = None) -> Call:
        call = Call()
        session = self._opened()
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                session.request(
                    method, URL(url, encoded=True), data=form, allow_redirects=False, trace_request_ctx=call
                ) as response,
            ):
                call.status, call.retry_after = response.status, response.headers.get("Retry-After")
                call.body = await _bounded(response.content)
        except TimeoutError:
            call.error = "timeout"
        except (aiohttp.ClientError, OSError) as error:
            call.error = type(error).__name__
        return call

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_create_end.append(_note_connected)
            trace.on_connection_reuseconn.append(_note_connected)
            self._session = aiohttp.ClientSession(
                connector=AbortiveConnector(timeout_seconds=self._timeout_seconds),
                headers={"Authorization": self._authorization, "Accept": "application/json", "Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                trust_env=False,
                trace_configs=[trace],
            )
        return self._session


async def _note_connected(
    _: aiohttp.ClientSession,
    context: SimpleNamespace,
    __: aiohttp.TraceConnectionCreateEndParams | aiohttp.TraceConnectionReuseconnParams,
) -> None:
    context.trace_request_ctx.is_connected = True


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > LARGEST_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError("too large")
    return bytes(body)
