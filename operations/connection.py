"""A person's hold on the running system: the log, where acts are written, and the read model, where they are seen."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from operations.errors import ActUnconfirmed, NotFoldedYet
from operations.looking import command_that_shows
from operations.refold import Refold
from projections.database import Database
from projections.progress import Progress
from projections.reader import Reader, View
from settings import Environment, Settings
from streams.engines.choose import event_log
from streams.envelope import new_event
from streams.errors import LogUnavailable, ReadModelUnavailable
from streams.events import AnyEventData
from streams.log import Appended, EventLog
from streams.partitions import partition_of_subject
from streams.retry import RetryPolicy

SOURCE = "prosa/operations"
FOLD_SECONDS = 10.0
"""How long an act waits to be folded: a projector that runs needs milliseconds."""

APPEND_SECONDS = 10.0
"""For so long an append that the log did not confirm is tried again, which outlasts a server that is started anew."""
PAUSES = RetryPolicy(base_seconds=0.1, max_seconds=2.0)


class Connection:
    """
    The log and the read model of one system, for as long as a command takes. It gives up where one is away.

    The log is joined at the first act and never made: whoever only looks needs nothing but Postgres.
    """

    def __init__(
        self,
        event_log: EventLog,
        database: Database,
        *,
        in_production: bool = False,
        fold_seconds: float = FOLD_SECONDS,
        append_seconds: float = APPEND_SECONDS,
    ) -> None:
        self.log = event_log
        self.database = database
        self.reader = Reader(database)
        self.refolds: dict[str, Refold] = {}
        self._progress = Progress(database)
        self._in_production = in_production
        self._fold_seconds = fold_seconds
        self._append_seconds = append_seconds
        self._has_joined = False

    async def join(self) -> None:
        """Make sure that the log is there and is ours. Raises what `EventLog.join` raises."""
        if not self._has_joined:
            await self.log.join()
            self._has_joined = True

    @property
    def is_production(self) -> bool:
        """Whether these settings, or anybody who ever served this log, call it production; for certain only once joined."""
        return self._in_production or self.log.is_production

    async def look(self, thread: str) -> View:
        """The thread as it is folded now. Raises `ReadModelUnavailable`, and what `join` raises."""
        await self.join()
        return await self.reader.view(partition_of_subject(thread, self.log.partitions), thread)

    async def append(self, data: AnyEventData, *, subject: str, owner: str = "default") -> Appended:
        """
        Write an act down; it is durable when this returns. Raises `ActUnconfirmed`, and what `join` raises.

        Where the log does not confirm it, the same event is appended again, which the fold counts once. A person who asks again
        makes another one, and so is to know that this one may count.
        """
        await self.join()
        event, clock = new_event(data, subject=subject, source=SOURCE, owner=owner), asyncio.get_running_loop().time
        until, tries = clock() + self._append_seconds, 0
        while True:
            try:
                return await self.log.append(event)
            except LogUnavailable as error:
                tries += 1
                pause_seconds = PAUSES.pause_seconds(tries, random.random())  # noqa: S311 - jitter
                if clock() + pause_seconds >= until:
                    raise _unconfirmed(data, error) from error
            await asyncio.sleep(pause_seconds)

    async def folded(self, *appended: Appended) -> None:
        """Return once the read model shows all that was appended. Raises `NotFoldedYet`."""
        try:
            await self._reached({each.partition: each.position for each in sorted(appended, key=lambda each: each.position)})
        except NotFoldedYet as error:
            raise NotFoldedYet(f"it stands in the log and will count; {error}") from None

    async def caught_up(self) -> None:
        """Return once the read model shows all that stands in the log now. Raises `NotFoldedYet` and `LogUnavailable`."""
        await self.log.join()  # also where it was joined before: a repair may have begun a new generation
        await self._reached(await self.log.heads())

    async def _reached(self, positions: Mapping[int, int]) -> None:
        try:
            async with asyncio.timeout(self._fold_seconds):
                await asyncio.gather(*(self._progress.reached(*each) for each in positions.items()))
        except ReadModelUnavailable as error:
            raise NotFoldedYet(f"the read model does not answer: {error}") from error
        except TimeoutError:
            raise NotFoldedYet(f"no projector has come to it in {self._fold_seconds:.0f} seconds; do the handlers run?") from None


def _unconfirmed(data: AnyEventData, error: LogUnavailable) -> ActUnconfirmed:
    return ActUnconfirmed(
        f"the log did not confirm it: {error}\nit may have been written, and may count: before you repeat it, look once the log"
        f" answers again: {command_that_shows(data)}"
    )


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Connection]:
    """The log and the read model of these settings; each is connected to when it is first needed. Raises `ConfigurationError`."""
    log = event_log(settings)
    database = Database(settings.database_url.get_secret_value(), max_connections=2)
    try:
        yield Connection(log, database, in_production=settings.environment is Environment.PRODUCTION)
    finally:
        await database.close()
        await log.close()
