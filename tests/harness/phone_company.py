"""The control plane of the simulator: contacts write, and its ledger, which nobody of ours can touch, tells what happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True)
class PhoneCompany:
    """Twilio as a test drives and reads it."""

    session: aiohttp.ClientSession

    async def write(self, contact: str, body: str, *, copies: int = 1) -> str:
        """A contact writes; the webhook is posted as often as that, all at once. Returns the message's sid."""
        sid, statuses = await self.try_to_write(contact, body, copies=copies)
        assert statuses == [200] * copies, statuses
        return sid

    async def try_to_write(self, contact: str, body: str, *, copies: int = 1) -> tuple[str, Sequence[int | None]]:
        """The same where the webhook may be away; tells how each copy was answered, None where nobody did."""
        message = {"from": contact, "body": body, "copies": copies}
        async with self.session.post("/simulator/messages", json=message) as response:
            written = await response.json()
        return written["sid"], [webhook["status"] for webhook in written["webhooks"]]

    async def received(self, contact: str) -> list[dict[str, Any]]:
        """What the phone shows."""
        async with self.session.get(f"/simulator/phones/{contact}") as response:
            received: list[dict[str, Any]] = (await response.json())["received"]
        return received

    async def ledger(self, after: int = 0) -> list[dict[str, Any]]:
        """Everything after this number."""
        async with self.session.get("/simulator/ledger", params={"after": after}) as response:
            entries: list[dict[str, Any]] = (await response.json())["entries"]
        return entries

    async def tally(self) -> dict[str, int]:
        """How often each fault happened."""
        async with self.session.get("/simulator/tally") as response:
            happened: dict[str, int] = await response.json()
        return happened

    async def break_down(self, **faults: Any) -> None:
        """What Twilio does wrong from now on; nothing without faults."""
        async with self.session.post("/simulator/faults", json=faults) as response:
            assert response.status == 200, await response.text()
