"""
The consumers of a process as FastStream subscribers.

FastStream starts and stops them with its app, calls the handlers through its middlewares, decoders and dependency injection, and
documents them. Reading, order, retries and marks stay with our consumers. This is the one file that knows private modules of
FastStream (0.7.8), which is why its version is pinned.

Two things of FastStream's are left out on purpose. `consume()` swallows what a handler raises, so `process_message()` is called;
and its logging middleware writes the message of an exception, which may hold what must not be logged, so only the broker's own
middlewares run.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from faststream import AckPolicy
from faststream._internal.broker.registrator import Registrator
from faststream._internal.endpoint.subscriber.call_item import CallsCollection
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.message import RedisMessage
from faststream.redis.subscriber.config import RedisSubscriberConfig, RedisSubscriberSpecificationConfig
from faststream.redis.subscriber.specification import StreamSubscriberSpecification
from faststream.redis.subscriber.usecases import LogicSubscriber
from faststream.specification.schema import Message, Operation, SubscriberSpec
from faststream.specification.schema.bindings import ChannelBinding
from faststream.specification.schema.bindings import redis as bindings
from structlog import get_logger

from streams.consumer import BatchConsumer, Delivery, GroupConsumer
from streams.events import CATALOGUE
from streams.log import Record
from streams.schema import schema_of

CHANNEL = "prosa.log"
FIELD = b"event"

log = get_logger("prosa.consumer")

Handler: TypeAlias = Callable[..., Awaitable[object]]
"""Takes the `Delivery`, or the batch of records, as its first argument; whatever else it declares is injected."""


class Consumer(Protocol):
    """What is subscribed: a group or a batch consumer."""

    @property
    def group(self) -> str: ...

    async def start(self, handle: Callable[[Any], Awaitable[object]], /) -> None: ...

    async def stop(self) -> None: ...


def subscribe(
    broker: RedisBroker,
    consumer: GroupConsumer | BatchConsumer,
    handler: Handler,
    *,
    title: str | None = None,
    description: str | None = None,
) -> None:
    """
    Register a consumer with its handler: the app's start is its start, the app's stop drains it.

    What the handler raises reaches the consumer, which decides. The handler is called with what the consumer delivers: the
    `Delivery` of a group, the `Sequence[Record]` of a batch consumer.
    """
    names = consumer.names if isinstance(consumer, GroupConsumer) else frozenset(CATALOGUE)
    stream = StreamSub(f"{CHANNEL}:{consumer.group}", group=consumer.group, consumer="any")
    config = RedisSubscriberConfig(
        stream_sub=stream, no_reply=True, _outer_config=broker.config.broker_config, _ack_policy=AckPolicy.MANUAL
    )
    described = RedisSubscriberSpecificationConfig(title_=title or stream.name, description_=description, include_in_schema=True)
    calls: CallsCollection[Any] = CallsCollection()
    specification = LogSpecification(broker.config.broker_config, described, calls, stream_sub=stream)
    specification.names = names
    subscriber = LogSubscriber(config, specification, calls, consumer)
    Registrator.subscriber(broker, subscriber)
    subscriber(handler)


class LogSpecification(StreamSubscriberSpecification):
    """Documents what stands in the log for this group: one message per event, as structured CloudEvents."""

    names: Iterable[str] = ()

    def get_schema(self) -> dict[str, SubscriberSpec]:
        payloads = {f"prosa.{name}.v{CATALOGUE[name].version}": schema_of(name) for name in sorted(self.names)}
        channel = bindings.ChannelBinding(channel=f"{CHANNEL}:*", group_name=self.stream_sub.group, method="xread")
        message = Message(title=f"{self.name}:Message", payload={"oneOf": payloads})
        operation = Operation(message=message, bindings=None)
        spec = SubscriberSpec(
            address=CHANNEL, description=self.description, operation=operation, bindings=ChannelBinding(redis=channel)
        )
        return {self.name: spec}


class LogSubscriber(LogicSubscriber):
    """A consumer of ours in FastStream's clothes."""

    def __init__(
        self, config: RedisSubscriberConfig, specification: LogSpecification, calls: CallsCollection[Any], consumer: Consumer
    ) -> None:
        config.parser, config.decoder = _parse, _decode
        super().__init__(config, specification, calls)
        self._consumer = consumer

    async def start(self, *_: Any) -> None:
        await super(LogicSubscriber, self).start()  # builds the dependencies; LogicSubscriber's would begin a loop of its own
        self._post_start()
        await self._consumer.start(self._handle)

    async def stop(self) -> None:
        await self._consumer.stop()
        await super().stop()

    async def _handle(self, delivered: Delivery | Sequence[Record]) -> None:
        await self.process_message(_message_of(self._consumer.group, delivered))

    def get_log_context(self, message: Any) -> dict[str, str]:
        return self.build_log_context(message, channel=f"{CHANNEL}:{self._consumer.group}")

    def _SubscriberUsecase__build__middlewares_stack(self) -> tuple[Any, ...]:  # noqa: N802 - overrides a private name
        return tuple(self._broker_middlewares)

    async def _get_msgs(self, *_: Any) -> None:
        raise NotImplementedError

    async def get_one(self, *, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - FastStream's signature
        raise NotImplementedError

    def __aiter__(self) -> AsyncIterator[Any]:
        raise NotImplementedError


def _message_of(group: str, delivered: Delivery | Sequence[Record]) -> Any:
    """The raw message as FastStream's own middlewares expect it, with what was delivered beside."""
    channel = f"{CHANNEL}:{group}"
    if isinstance(delivered, Delivery):
        return {"type": "stream", "channel": channel, "data": {FIELD: delivered.record.value}, "delivered": delivered}
    return {
        "type": "bstream",
        "channel": channel,
        "data": [{FIELD: record.value} for record in delivered],
        "delivered": delivered,
    }


async def _parse(raw: Any) -> RedisMessage:
    delivered = raw["delivered"]
    if isinstance(delivered, Delivery):
        event = delivered.event
        return RedisMessage(
            raw, delivered.record.value, message_id=event.id, correlation_id=event.correlation_id, headers=_headers(delivered)
        )
    return RedisMessage(raw, b"")


def _headers(delivery: Delivery) -> dict[str, str]:
    """OpenTelemetry continues the trace that the event carries."""
    return {"traceparent": delivery.event.traceparent} if delivery.event.traceparent else {}


async def _decode(message: Any) -> Any:
    return message.raw_message["delivered"]
