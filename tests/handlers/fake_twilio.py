"""A Twilio by hand, in this process: what it accepted is the truth, and what it answers is up to the test."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from handlers.twilio_answers import (
    Accepted,
    ListedMessage,
    NeverConnected,
    Refused,
    SendResult,
    TooManyRequests,
    TwilioDenied,
    TwilioUnavailable,
    Unknown,
)
from handlers.twilio_client import TwilioClient

Behaviour: TypeAlias = SendResult | str | Callable[[], Awaitable[None]]
"""An answer that leaves nothing behind; `lost` takes the message and tells nobody; a function comes before taking it."""

LOST = "lost"
TOO_MANY = TooManyRequests(20429, None)
NEVER = NeverConnected("ClientConnectorError")
DENIED = Refused(401, 20003)
BROKEN = Unknown("status 500")


@dataclass(frozen=True)
class Taken:
    sid: str
    to: str
    body: str
    attempt: str
    created_at_ms: int


@dataclass
class FakeTwilio(TwilioClient):
    """`calls` are the attempts that called, in order; `taken` are the messages that a phone would show."""

    script: list[Behaviour] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    others: list[ListedMessage] = field(default_factory=list)
    """What is listed besides."""
    calls: list[str] = field(default_factory=list)
    called_at: list[float] = field(default_factory=list)
    listings: int = 0
    listing_delay_seconds: float = 0.0
    listing_faults: list[Exception] = field(default_factory=list)
    is_denied: bool = False
    limit_seconds: float = 0.1

    @property
    def timeout_seconds(self) -> float:
        return self.limit_seconds

    next_sid: str = field(default_factory=lambda: f"SM{uuid4().hex}")

    def bodies(self) -> list[str]:
        return [taken.body for taken in self.taken]

    async def create_message(self, *, to: str, from_: str, body: str, status_callback: str) -> SendResult:
        attempt = await self.note_call(status_callback)
        if self.is_denied:
            return DENIED
        step = self.script.pop(0) if self.script else None
        if callable(step):
            await step()
            step = None
        if step is not None and not isinstance(step, str):
            return step
        taken = Taken(self.next_sid, to, body, attempt, time.time_ns() // 1_000_000)
        self.next_sid = f"SM{uuid4().hex}"
        self.taken.append(taken)
        await asyncio.sleep(0)
        return Unknown("timeout") if step == LOST else Accepted(taken.sid, "queued")

    async def note_call(self, status_callback: str) -> str:
        """Count a call; the attempt that made it."""
        (attempt,) = parse_qs(urlsplit(status_callback).query)["attempt"]
        self.calls.append(attempt)
        self.called_at.append(time.monotonic())
        await asyncio.sleep(0)
        return attempt

    async def list_messages(self, *, to: str, from_: str | None = None, since_ms: int) -> tuple[ListedMessage, ...]:
        self.listings += 1
        await asyncio.sleep(0)
        if self.is_denied:
            raise TwilioDenied("read: status 401, code 20003")
        if self.listing_faults:
            raise self.listing_faults.pop(0)
        listed_until_ms = time.time_ns() // 1_000_000 - self.listing_delay_seconds * 1000
        ours = [
            ListedMessage(each.sid, each.body, each.created_at_ms // 1000 * 1000, "sent", "outbound-api", None)
            for each in self.taken
            if each.to == to and each.created_at_ms <= listed_until_ms
        ]
        return tuple(each for each in (*reversed(ours), *self.others) if each.created_at_ms >= since_ms // 1000 * 1000)

    async def close(self) -> None:
        pass


UNAVAILABLE = TwilioUnavailable("list: status 503")
