"""Handlers on a log in memory and the real projector on real Postgres; Twilio and the models are written by hand."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar, overload

from handlers.attempts import Attempts, Find, Handle, find_nothing
from handlers.breaker import Breaker
from handlers.call_twilio import CallTwilio
from handlers.journal import Journal, patiently
from handlers.model import Answer, ReplyGenerator
from handlers.respond import Manner, Responder
from handlers.send import Sender
from handlers.send_rate import SendRate
from handlers.settle import Settler
from handlers.turn import TurnLimits
from projections.changes import RESPONDER, SENDER
from projections.database import Database
from projections.progress import Progress
from projections.projector import Projector
from projections.reader import Line, Reader, View
from projections.state import Reply, ThreadState
from streams.consumer import BatchConsumer
from streams.delivery import Delivery
from streams.engines.memory import MemoryEventLog, MemoryOwnership
from streams.envelope import decode, new_event
from streams.events import (
    AnyEventData,
    ClockTicked,
    Event,
    MessageReceived,
    MessageStatusChanged,
    PolicyChanged,
    ReplyGenerated,
)
from streams.log import Appended, Record
from streams.partitions import partition_of, partition_of_subject, partition_subject
from streams.retry import RetryPolicy
from tests.handlers.fake_twilio import FakeTwilio

PARTITIONS = 4
QUIET_SECONDS = 0.03
QUICK = RetryPolicy(max_attempts=3, base_seconds=0.005, max_seconds=0.02)
LIMITS = TurnLimits(QUICK, request_timeout_seconds=2.0, turn_timeout_seconds=5.0)
SENTENCE = "Sorry, not now."
MINUTE_MS = 60_000

T = TypeVar("T")


def thread_of(number: int = 0, partition: int | None = None) -> str:
    """The `number`th contact's thread; in a given partition, if one is given."""
    names = (f"whatsapp:+14155238886|whatsapp:+55119000{number:03}{each:03}" for each in range(1000))
    return next(name for name in names if partition is None or partition_of(name, PARTITIONS) == partition)


@dataclass
class LogClock:
    """The real time, and what a test adds to it."""

    ahead_ms: int = 0
    passed_ms: int = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def pass_on(self, milliseconds: int) -> None:
        """Time really goes by, and not on the log's host alone."""
        self.ahead_ms += milliseconds
        self.passed_ms += milliseconds

    def monotonic(self) -> float:
        return time.monotonic() + self.passed_ms / 1000


@dataclass(frozen=True)
class Written:
    """An event, and where it stands."""

    event: Event
    at: Appended
    record: Record

    def delivered_to(self, group: str, *, isolated: bool = False, is_handed_over: bool = False) -> Delivery:
        return Delivery(group, self.record, self.event, self.at.position, isolated, is_handed_over)


@dataclass
class World:
    log: MemoryEventLog
    clock: LogClock
    database: Database
    progress: Progress
    ownership: MemoryOwnership
    twilio: FakeTwilio

    def journal(self, source: str = "test") -> Journal:
        return Journal(self.log, self.progress, Reader(self.database), source=source)

    # ------------------------------------------------------------------------------------------------------ the log

    async def append(self, data: AnyEventData, thread: str) -> Written:
        event = new_event(data, subject=thread, source="test")
        appended = await self.log.append(event)
        (record,) = await self.log.read({appended.partition: appended.position - 1}, limit=1)
        return Written(event, appended, record)

    async def write(self, thread: str, body: str = "Olá", sid: str | None = None) -> Written:
        """As the contact."""
        sid = sid or f"SM{time.perf_counter_ns():032x}"
        return await self.append(MessageReceived(sid=sid, kind="text", body=body, form={"Body": (body,)}), thread)

    async def tick(self, partition: int) -> Written:
        return await self.append(ClockTicked(nominal=datetime.now(UTC)), partition_subject(partition))

    async def policy(self, partition: int, **changes: Any) -> Written:
        return await self.append(PolicyChanged(**changes), partition_subject(partition))

    async def status(self, thread: str, sid: str, status: str, *, attempt: str | None = None, code: int | None = None) -> Written:
        changed = MessageStatusChanged(sid=sid, status=status, error_code=code, attempt=attempt)
        return await self.append(changed, thread)

    async def answered(self, thread: str, *parts: str, reply: str = "r1", **more: Any) -> Written:
        """A contact wrote, and somebody answered that it is `parts`: what is left is to send them."""
        written = await self.write(thread)
        first = more.pop("first_event", written.event.id)
        generated = ReplyGenerated(reply=reply, first_event=first, last_event=written.event.id, parts=parts, **more)
        return await self.append(generated, thread)

    async def view(self, thread: str) -> View:
        """Once everything that stands in the log is projected."""
        partition = partition_of_subject(thread, PARTITIONS)
        return await self.journal().look(thread, (await self.log.heads())[partition])

    async def state(self, thread: str) -> ThreadState:
        state = (await self.view(thread)).state
        assert state is not None
        return state

    async def reply(self, thread: str, reply: str = "r1") -> Reply:
        found = (await self.state(thread)).reply(reply)
        assert found is not None
        return found

    async def replies(self, thread: str) -> Sequence[Reply]:
        return (await self.state(thread)).replies

    async def facts(self, thread: str, *names: str) -> list[AnyEventData]:
        """What the log says of a thread; only these kinds, if any are named."""
        partition = partition_of_subject(thread, PARTITIONS)
        events = await events_of(self.log, partition)
        return [event.data for event in events if event.subject == thread and (not names or event.data.name in names)]

    async def history(self, thread: str) -> Sequence[Line]:
        state = await self.state(thread)
        assert state.conversation is not None
        return await self.journal().history(state.conversation.id, (), limit=100)

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        """However slow Postgres is: what a test looks at is no part of its law."""

        async def read() -> list[dict[str, Any]]:
            async with self.database.transaction(readonly=True) as connection:
                return [dict(row) for row in await connection.fetch(statement)]

        return await patiently(read)

    # ------------------------------------------------------------------------------------------------- the handlers

    def responder(self, *models: ReplyGenerator, **changes: Any) -> Responder:
        manner = Manner(
            quiet_seconds=changes.pop("quiet_seconds", QUIET_SECONDS),
            limits=changes.pop("limits", LIMITS),
            failure_sentence=changes.pop("failure_sentence", SENTENCE),
            overlooked_after_ms=changes.pop("overlooked_after_ms", 0),
        )
        breaker = changes.pop("breaker", None) or Breaker(RESPONDER, pause_seconds=0.02)
        return Responder(changes.pop("journal", None) or self.journal(), models, breaker, manner, **changes)

    def sender(
        self,
        *,
        twilio: FakeTwilio | None = None,
        journal: Journal | None = None,
        ownership: Any = None,
        breaker: Breaker | None = None,
        rate: SendRate | None = None,
        retry: RetryPolicy = QUICK,
        lease_seconds: float = 2.0,
        grace_seconds: float = 0.3,
        absence_is_proof: bool = True,
    ) -> Sender:
        journal = journal or self.journal()
        twilio = twilio or self.twilio
        breaker = breaker or Breaker(SENDER, pause_seconds=0.02)
        call = CallTwilio(
            journal,
            twilio,
            ownership or self.ownership,
            breaker,
            retry,
            callback_url="https://prosa.example/webhooks/twilio/status",
            secret="a secret that only the tests know",
            lease_seconds=lease_seconds,
        )
        settler = Settler(
            journal,
            twilio,
            breaker,
            grace_seconds=grace_seconds,
            absence_is_proof=absence_is_proof,
            pauses=RetryPolicy(base_seconds=0.02, max_seconds=0.05),
            monotonic=self.clock.monotonic,
        )
        return Sender(journal, call, settler, breaker, rate or SendRate(), retry)

    def attempts(
        self, handle: Handle, *, find: Find = find_nothing, breaker: Breaker | None = None, retry: RetryPolicy = QUICK
    ) -> Attempts:
        return Attempts(self.journal(), breaker or Breaker("test", pause_seconds=0.02), retry, handle, find)


async def events_of(log: MemoryEventLog, partition: int) -> list[Event]:
    return [decode(record.value) for record in await log.read({partition: 0}, limit=100_000)]


@asynccontextmanager
async def a_world(database_url: str) -> AsyncIterator[World]:
    clock = LogClock()
    log, ownership, database = MemoryEventLog(PARTITIONS, clock), MemoryOwnership(), Database(database_url)
    progress = Progress(database)
    projector = Projector(database, progress, epoch=lambda: log.epoch, declined=ownership.decline, compare=log.disagreements)
    consumer = BatchConsumer(log, ownership, group="projector", positions=projector.positions)
    await consumer.start(projector.project)
    ownership.gain(*range(PARTITIONS))
    yield World(log, clock, database, progress, ownership, FakeTwilio())
    await consumer.stop()
    await database.close()


@overload
async def eventually(look: Callable[[], Awaitable[T]], *, within_seconds: float = 10.0) -> T: ...
@overload
async def eventually(look: Callable[[], T], *, within_seconds: float = 10.0) -> T: ...
async def eventually(look: Callable[[], Any], *, within_seconds: float = 10.0) -> Any:
    """Look until something is found."""
    async with asyncio.timeout(within_seconds):
        while True:
            found = look()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.005)


@dataclass
class Model:
    """
    Answers with how many messages it was shown, or by script: an answer, an error, or a function.

    While `gate` is closed it works on, and `is_asked` tells that it does.
    """

    script: list[str | Answer | Exception | Callable[[], Awaitable[str]]] = field(default_factory=list)
    questions: list[Any] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def generate(self, question: Any) -> Answer:
        self.questions.append(question)
        self.is_asked.set()
        step = self.script.pop(0) if self.script else f"answer {len(self.questions)}"
        await self.gate.wait()
        if isinstance(step, Exception):
            raise step
        if callable(step):
            step = await step()
        return step if isinstance(step, Answer) else Answer(step, False, False, "by hand", 1, 1)
