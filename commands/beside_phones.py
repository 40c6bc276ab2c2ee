"""What stands beside the simulator's phones: each contact's conversation in the read model, the clock, and a person's acts."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from commands.beside_steps import folded
from simulator.phone.beside import Act, Beside, BesideTrouble, ConversationView, Deadline
from streams.errors import LogUnavailable, ProsaError, ReadModelUnavailable
from streams.partitions import thread_of

if TYPE_CHECKING:
    from operations.connection import Connection
    from operations.conversations import Listed
    from operations.timeline import Timeline
    from projections.state import Conversation
    from settings import Settings

STEPS = 20
FOLDED = 3 * STEPS
"""So many are looked at: an answer has up to three statuses, which become one step."""
LOOK_SECONDS = 5.0
"""After which a read model that hangs counts as one that is away."""
WINDOW_MS = 24 * 3_600_000
"""WhatsApp's, by which the bar of its deadline is drawn."""


class BesidePhones:
    """Connects to the log and the read model when the page first asks, and again whenever one was away."""

    def __init__(self, settings: "Settings", sender: str) -> None:
        self._settings = settings
        self._sender = sender
        self._connection: Connection | None = None
        self._stack = AsyncExitStack()

    @property
    def beside(self) -> Beside:
        acts: dict[str, Act] = {name: self._act(name) for name in ("take over", "answer", "release", "close")}
        return Beside(self.conversation, self.clock_ahead_ms, self.advance_clock, acts, self._stack.aclose)

    async def conversation(self, contact: str) -> ConversationView | None:
        """The newest one with this contact, and what led there. Raises `BesideTrouble`, as everything here."""
        from operations.timeline import timeline

        async with self._asking(LOOK_SECONDS) as connection:
            story = await timeline(connection, thread_of(self._sender, contact), limit=FOLDED)
        return None if story.conversation is None else _view(story, story.conversation)

    async def clock_ahead_ms(self) -> int:
        """The furthest of all partitions."""
        from projections.store import load_checkpoints

        async with self._asking(LOOK_SECONDS) as connection, connection.database.transaction(readonly=True) as reading:
            checkpoints = await load_checkpoints(reading, range(self._settings.stream_partitions))
        return max((each.state.offset_ms for each in checkpoints.values()), default=0)

    async def advance_clock(self, minutes: int) -> None:
        """Return once the read model shows it."""
        from operations.clock import advance

        async with self._asking() as connection:
            await advance(connection, timedelta(minutes=minutes))

    def _act(self, name: str) -> Act:
        async def act(contact: str, text: str) -> None:
            from operations.conversations import named

            async with self._asking() as connection:
                conversation = await named(connection, thread_of(self._sender, contact))
                await _acted(connection, name, conversation, text)

        return act

    @asynccontextmanager
    async def _asking(self, seconds: float | None = None) -> "AsyncIterator[Connection]":
        """One place decides what a person is told: what may pass, and what somebody must change."""
        within = asyncio.timeout(seconds)
        try:
            async with within:
                yield await self._connected()
        except ReadModelUnavailable as error:
            raise BesideTrouble(f"The read model does not answer: {error}") from None
        except LogUnavailable as error:
            raise BesideTrouble(f"The log does not answer: {error}") from None
        except TimeoutError:
            if within.expired():
                raise BesideTrouble(f"The read model has said nothing for {seconds:.0f} seconds") from None
            raise BesideTrouble("No answer came in time; look again before you repeat it") from None
        except ProsaError as error:
            raise BesideTrouble(str(error)) from None

    async def _connected(self) -> "Connection":
        from operations.connection import connected

        if self._connection is None:
            self._connection = await self._stack.enter_async_context(connected(self._settings))
        return self._connection


async def _acted(connection: "Connection", name: str, conversation: "Listed", text: str) -> None:
    from operations import intervention

    by = _person()
    match name:
        case "take over":
            await intervention.take(connection, conversation, by=by)
        case "answer":
            await intervention.reply(connection, conversation, text, by=by)
        case "release":
            await intervention.release(connection, conversation, by=by)
        case _:
            await intervention.close(connection, conversation, by=by)


def _person() -> str:
    """Who runs this; in a container the user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "phone page"


def _view(story: "Timeline", conversation: "Conversation") -> ConversationView:
    return ConversationView(
        status=conversation.status.value,
        remark=_remark(conversation),
        now_ms=story.log_time_ms,
        deadlines=tuple(_deadlines(story, conversation)),
        steps=folded(story.steps)[-STEPS:],
        acts=_acts(conversation),
        dead_letters=story.open_dead_letters,
    )


def _remark(conversation: "Conversation") -> str:
    if conversation.closed_by:
        return f"by {conversation.closed_by.value}"
    return f"with {conversation.taken_by}" if conversation.taken_by and conversation.is_open else ""


def _deadlines(story: "Timeline", conversation: "Conversation") -> "Iterator[Deadline]":
    from projections.state import Status

    began = conversation.last_activity_at_ms
    if conversation.status is Status.ACTIVE and conversation.idle_at_ms:
        yield Deadline("idle", conversation.idle_at_ms, began)
    if conversation.is_open and conversation.ends_at_ms:
        what = "handoff ends" if conversation.status is Status.HANDOFF else "expires"
        yield Deadline(what, conversation.ends_at_ms, began)
    if conversation.is_open and (closes := story.window_closes_at_ms):
        yield Deadline("reply window", closes, closes - WINDOW_MS, "closes in", "closed")


def _acts(conversation: "Conversation") -> tuple[str, ...]:
    from projections.state import Status

    if not conversation.is_open:
        return ()
    return ("release", "answer", "close") if conversation.status is Status.HANDOFF else ("take over", "answer", "close")
