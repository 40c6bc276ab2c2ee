"""A reconciler between a list by hand and a world."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from handlers.reconciler import Comparison, Reconciler
from handlers.twilio_client import TwilioClient
from handlers.twilio_inbound import Period
from streams.delivery import Delivery
from streams.envelope import decode
from streams.events import Event, MessageReceived
from tests.handlers.twilio_list import ACCOUNT, SENDER, TwilioList
from tests.handlers.world import World, events_of

HOUR = timedelta(hours=1)


@dataclass
class Desk:
    """A reconciler between a list by hand and a world."""

    world: World
    listing: TwilioList
    client: TwilioClient

    def reconciler(self, **changes: Any) -> Reconciler:
        given = {"account": ACCOUNT, "sender": SENDER, "most_pages": 20, "fold_seconds": 5.0, **changes}
        return Reconciler(self.world.log, self.world.database, self.client, **given)

    async def compare(
        self, reconciler: Reconciler | None = None, *, hours: float = 2, senders: Iterable[str] = (SENDER,)
    ) -> Comparison:
        now = datetime.now(UTC)
        return await (reconciler or self.reconciler()).compare(Period(now - hours * HOUR, now), senders)

    async def reconcile(self, reconciler: Reconciler | None = None, **how: Any) -> list[str]:
        """The sids that were appended."""
        reconciler = reconciler or self.reconciler()
        found = await self.compare(reconciler, **how)
        return [each.sid async for each, _ in reconciler.append(found.missed)]

    async def received(self) -> list[Event]:
        """What the log holds of messages received, by the time when they were written."""
        events = [event for number in range(self.world.log.partitions) for event in await events_of(self.world.log, number)]
        return sorted((event for event in events if isinstance(event.data, MessageReceived)), key=lambda each: each.time)

    async def deliveries(self, thread: str, group: str) -> list[Delivery]:
        """Everything that the log holds of a thread, as a group gets it."""
        records = await self.world.log.read(dict.fromkeys(range(self.world.log.partitions), 0), limit=1000)
        decoded = ((record, decode(record.value)) for record in records)
        return [Delivery(group, record, event, record.position) for record, event in decoded if event.subject == thread]

    async def bodies(self) -> list[str]:
        return [event.data.body for event in await self.received() if isinstance(event.data, MessageReceived)]
