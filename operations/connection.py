"""A person's hold on the running system: the log, where acts are written, and the read model, where they are seen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from operations.errors import NotFoldedYet
from projections.database import Database
from projections.progress import Progress
from projections.reader import Reader, View
from settings import Settings
from streams.engines.choose import event_log
from streams.envelope import new_event
from streams.events import AnyEventData
from streams.log import Appended, EventLog
from streams.partitions import partition_of_subject

SOURCE = "prosa/operations"
FOLD_SECONDS = 10.0
"""How long an act waits to be folded: a projector that runs needs milliseconds."""


class Connection:
    """The log and the read model of one system, for as long as a command takes. It gives up where one is away."""

    def __init__(self, event_log: EventLog, database: Database, *, fold_seconds: float = FOLD_SECONDS) -> None:
        self.log = event_log
        self.database = database
        self.reader = Reader(database)
        self._progress = Progress(database)
        self._fold_seconds = fold_seconds

    async def look(self, thread: str) -> View:
        """The thread as it is folded now. Raises `ReadModelUnavailable`."""
        return await self.reader.view(partition_of_subject(thread, self.log.partitions), thread)

    async def append(self, data: AnyEventData, *, subject: str, owner: str = "default") -> Appended:
        """Write an act down; it is durable when this returns. Raises `LogUnavailable`."""
        return await self.log.append(new_event(data, subject=subject, source=SOURCE, owner=owner))

    async def folded(self, appended: Appended) -> None:
        """Return once the read model shows what was appended. Raises `NotFoldedYet`."""
        try:
            async with asyncio.timeout(self._fold_seconds):
                await self._progress.reached(appended.partition, appended.position)
        except TimeoutError:
            raise NotFoldedYet(
                f"it stands in the log, and no projector has come to it in {self._fold_seconds:.0f} seconds; do the handlers run?"
            ) from None


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Connection]:
    """Connect to the log and the read model of these settings. Raises what `EventLog.start` raises."""
    log = event_log(settings)
    database = Database(settings.database_url.get_secret_value(), max_connections=2)
    try:
        await log.start()
        yield Connection(log, database)
    finally:
        await database.close()
        await log.close()
