"""A Twilio by hand that lists what contacts wrote, whenever a test says that was; it pages, and can be made to lie."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from tests.handlers.raw_server import Asked, Behaviour, answering, serving

ACCOUNT = "AC" + "1" * 32
SENDER = "whatsapp:+14155238886"
ANA, BIA = "whatsapp:+5511900000001", "whatsapp:+5511900000002"


def ago(**length: float) -> datetime:
    return (datetime.now(UTC) - timedelta(**length)).replace(microsecond=0)


@dataclass
class TwilioList:
    """`messages` are listed newest first; `faults` answer the next requests instead."""

    url: str = ""
    page_size: int = 50
    leads_back: dict[int, int] = field(default_factory=dict)
    """After which page which one is said to follow."""
    shows_all: bool = False
    """Whether it also lists what is to others."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    media: dict[str, Any] = field(default_factory=dict)
    media_faults: list[Behaviour] = field(default_factory=list)
    faults: list[Behaviour] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    on_asked: list[Any] = field(default_factory=list)
    """Awaited, each once, before a page is answered."""
    sent: list[tuple[str, str]] = field(default_factory=list)
    """What we had it send: to whom, and the words."""

    def wrote(
        self, body: str, when: datetime, *, contact: str = ANA, changed: Mapping[str, Any] | None = None, **changes: Any
    ) -> str:
        """A message that Twilio took from a contact then; returns its sid."""
        sid = f"SM{len(self.messages):032x}"
        told = format_datetime(when)
        resource = {
            "sid": sid,
            "account_sid": ACCOUNT,
            "api_version": "2010-04-01",
            "body": body,
            "date_created": told,
            "date_sent": told,
            "date_updated": told,
            "direction": "inbound",
            "error_code": None,
            "from": contact,
            "to": SENDER,
            "messaging_service_sid": None,
            "num_media": "0",
            "num_segments": "1",
            "status": "received",
            **changes,
            **(changed or {}),
        }
        self.messages.append(resource)
        return str(resource["sid"])

    def listed(self) -> list[dict[str, Any]]:
        return list(reversed(self.messages))

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.method == "POST":
            self.sent.append((asked.form["To"], asked.form["Body"]))
            return await answering(201, {"sid": f"SM{len(self.sent):031x}s", "status": "queued"})(asked, writer)
        self.asked.append(asked)
        if asked.path.endswith("/Media.json"):
            sid = asked.path.split("/")[-2]
            if self.media_faults:
                return await self.media_faults.pop(0)(asked, writer)
            if sid not in self.media:
                return await answering(404, {"code": 20404})(asked, writer)
            return await answering(200, {"media_list": self.media[sid]})(asked, writer)
        if self.on_asked:
            await self.on_asked.pop(0)()
        if self.faults:
            return await self.faults.pop(0)(asked, writer)
        await answering(200, json.dumps(self._page(asked)).encode())(asked, writer)

    def _page(self, asked: Asked) -> dict[str, Any]:
        number = int(asked.query.get("Page", "0"))
        start = number * self.page_size
        # a hostile entry may have no address at all, and is listed nevertheless
        wanted = (asked.query["To"], "lie")
        found = [each for each in self.listed() if self.shows_all or not isinstance(each, dict) or each.get("to", "") in wanted]
        next_number = self.leads_back.get(number, number + 1)
        following = f"{asked.path}?To={asked.query['To'].replace('+', '%2B')}&Page={next_number}"
        is_last = start + self.page_size >= len(found)
        return {"messages": found[start : start + self.page_size], "next_page_uri": None if is_last else following}


@asynccontextmanager
async def a_list() -> AsyncIterator[TwilioList]:
    listing = TwilioList()
    async with serving(listing.answer) as server:
        listing.url = server.url
        yield listing
