"""Twilio's side of a webhook: sign, post, try again by the rules, give up."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urldefrag, urlencode
from uuid import uuid4

import aiohttp
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from simulator.connection_rules import ConnectionRules, connection_rules

READ_TIMED_OUT = 11200
TOTAL_TIMED_OUT = 11203
NOT_CONNECTED = 11205
PROTOCOL_VIOLATED = 11206
ERROR_STATUS = 11217
INVALID_CONTENT_TYPE = 12300

TWIML_TYPES = frozenset({"text/xml", "application/xml", "text/html", "text/plain"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """status is the last answer's, None if there was none. error_code is what Twilio's debugger shows."""

    status: int | None
    error_code: int | None
    attempts: int

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class SignedPost:
    """A form as it goes out, now or once more. url has the fragment that sets the rules, which is neither signed nor sent."""

    url: str
    form: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """failure is the word by which a retry policy calls it; None when there is nothing to retry."""

    status: int | None
    error_code: int | None
    failure: str | None


class WebhookClient:
    """
    Posts forms as Twilio does; needs a running loop.

    Retries follow at once: nothing Twilio writes tells of a pause. All attempts of one post carry the same idempotency token.
    """

    def __init__(self, auth_token: str, rewrites: Mapping[str, str]) -> None:
        self._validator = RequestValidator(auth_token)
        self._rewrites = rewrites
        # A connection of its own for each post: a kept one that the server just closed would look like a failure of the server.
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0))

    async def close(self) -> None:
        await self._session.close()

    async def post(self, url: str, form: Mapping[str, str], signed_url: str | None = None) -> Outcome:
        return await self.deliver(self.signed(url, form, signed_url))

    def signed(self, url: str, form: Mapping[str, str], signed_url: str | None = None) -> SignedPost:
        return SignedPost(url, form, self._headers(urldefrag(signed_url or url).url, form))

    async def deliver(self, post: SignedPost) -> Outcome:
        rules = connection_rules(post.url)
        url = self._rewritten(urldefrag(post.url).url)
        deadline = asyncio.get_running_loop().time() + rules.total_seconds
        attempts = 0
        while True:
            attempts += 1
            attempt = await self._attempt(url, post, rules, deadline)
            if attempt.failure not in rules.retried or attempts > rules.retries:
                return Outcome(attempt.status, attempt.error_code, attempts)

    def _headers(self, signed_url: str, form: Mapping[str, str]) -> dict[str, str]:
        signature: str = self._validator.compute_signature(signed_url, form)
        return {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": signature,
            "I-Twilio-Idempotency-Token": str(uuid4()),
        }

    def _rewritten(self, url: str) -> str:
        for public, local in self._rewrites.items():
            if url.startswith(public):
                return local + url.removeprefix(public)
        return url

    async def _attempt(self, url: str, post: SignedPost, rules: ConnectionRules, deadline: float) -> _Attempt:
        left_seconds = deadline - asyncio.get_running_loop().time()
        if left_seconds <= 0:
            return _Attempt(None, TOTAL_TIMED_OUT, None)
        timeout = aiohttp.ClientTimeout(total=left_seconds, sock_connect=rules.connect_seconds, sock_read=rules.read_seconds)
        body = urlencode(post.form).encode()
        try:
            async with self._session.post(url, data=body, headers=post.headers, timeout=timeout) as response:
                await response.read()
                return _answered(response)
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.InvalidURL):
            return _Attempt(None, NOT_CONNECTED, "ct")
        except aiohttp.SocketTimeoutError:
            return _Attempt(None, READ_TIMED_OUT, "rt")
        except TimeoutError:
            return _Attempt(None, TOTAL_TIMED_OUT, None)
        except aiohttp.ClientError:
            # The request went out and no answer came back whole: to a retry policy it is a failure to read.
            return _Attempt(None, PROTOCOL_VIOLATED, "rt")


def _answered(response: aiohttp.ClientResponse) -> _Attempt:
    if response.status >= 400:
        return _Attempt(response.status, ERROR_STATUS, "4xx" if response.status < 500 else "5xx")
    has_body = response.headers.get("Content-Length", "0") != "0"
    error_code = INVALID_CONTENT_TYPE if has_body and response.content_type not in TWIML_TYPES else None
    return _Attempt(response.status, error_code, None)
