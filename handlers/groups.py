"""The consumer groups put together: log, projection and handlers, as subscribers of one FastStream broker."""

from collections.abc import Sequence
from dataclasses import dataclass

from faststream.redis import RedisBroker

from handlers.attempts import Attempts
from handlers.breaker import Breaker
from handlers.call_twilio import CallTwilio
from handlers.choose_model import reply_generators, turn_limits
from handlers.journal import Journal
from handlers.measured import handling
from handlers.parts import split
from handlers.respond import RESPONDER_EVENTS, Manner, Responder
from handlers.send import SENDER_EVENTS, Sender
from handlers.send_rate import SendRate
from handlers.settle import Settler
from handlers.twilio_client import TwilioClient
from projections.changes import PROJECTOR, RESPONDER, SENDER
from projections.database import Database
from projections.progress import Progress
from projections.projector import Projector
from projections.reader import Reader
from settings import Settings
from streams.consumer import BatchConsumer, GroupConsumer
from streams.delivery import Delivery
from streams.engines.choose import event_log
from streams.engines.redis_log import RedisEventLog
from streams.engines.redis_ownership import RedisOwnership
from streams.engines.redis_rate_limit import RedisRateLimit
from streams.engines.redis_subscriber import subscribe
from streams.heartbeat import Heartbeat
from streams.log import Record
from streams.ownership import OnFatal
from streams.retry import RetryPolicy

STATUS_PATH = "/webhooks/twilio/status"

OVERLOOKED_MARGIN_SECONDS = 30
"""How much longer than a turn may take a message must wait until a tick looks for it."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Everything that one worker process consists of, not yet started."""

    log: RedisEventLog
    ownership: RedisOwnership
    database: Database
    twilio: TwilioClient
    rate: SendRate
    projector: Projector
    projecting: BatchConsumer
    responding: GroupConsumer
    sending: GroupConsumer
    respond: Attempts
    send: Attempts
    breakers: tuple[Breaker, ...]

    @property
    def consumers(self) -> tuple[BatchConsumer | GroupConsumer, ...]:
        return (self.projecting, self.responding, self.sending)

    @property
    def heartbeats(self) -> tuple[Heartbeat, ...]:
        """Of every loop that the worker's work depends on."""
        return (self.ownership.heartbeat, *(heartbeat for consumer in self.consumers for heartbeat in consumer.heartbeats))

    def hurry(self, drain_seconds: float) -> None:
        """Let a stop give what runs no longer than this."""
        for group in (self.responding, self.sending):
            group.hurry(drain_seconds)

    def subscribe(self, broker: RedisBroker) -> None:
        """Make the groups subscribers of the broker: it starts and stops them, and documents them."""

        async def project(records: Sequence[Record]) -> None:
            await self.projector.project(records)

        async def respond(delivery: Delivery) -> None:
            await self.respond.run(delivery)

        async def send(delivery: Delivery) -> None:
            await self.send.run(delivery)

        subscribe(broker, self.projecting, project, description="Folds the log into the read model.")
        subscribe(broker, self.responding, respond, description="Answers what contacts wrote.")
        subscribe(broker, self.sending, send, description="Sends accepted replies through Twilio.")


def build_groups(settings: Settings, on_fatal: OnFatal) -> Groups:
    """Put a worker together; nothing is connected yet."""
    log = event_log(settings)
    url = settings.redis_url.get_secret_value()
    ownership = RedisOwnership(
        url, partitions=settings.stream_partitions, lease_seconds=settings.lease_seconds, on_fatal=on_fatal
    )
    database = Database(settings.database_url.get_secret_value())
    progress = Progress(database)
    projector = Projector(database, progress, epoch=lambda: log.epoch, declined=ownership.decline, compare=log.disagreements)
    twilio = twilio_client(settings)
    reader = Reader(database)
    retry = RetryPolicy(settings.retry_max_attempts, settings.retry_base_seconds, settings.retry_max_seconds)

    responder_breaker, sender_breaker = breaker(RESPONDER, settings), breaker(SENDER, settings)
    responder_journal = Journal(log, progress, reader, source="prosa/responder")
    responder = Responder(
        responder_journal,
        reply_generators(settings),
        responder_breaker,
        manner(settings),
        show_typing=twilio.show_typing if settings.typing_indicator else None,
    )

    sender_journal = Journal(log, progress, reader, source="prosa/sender")
    call = CallTwilio(
        sender_journal,
        twilio,
        ownership,
        sender_breaker,
        retry,
        callback_url=settings.public_base_url + STATUS_PATH,
        secret=settings.secret_key.get_secret_value(),
        lease_seconds=settings.lease_seconds,
    )
    settler = Settler(
        sender_journal,
        twilio,
        sender_breaker,
        grace_seconds=grace_seconds(settings),
        absence_is_proof=settings.send_absence_is_proof,
    )
    rate = send_rate(settings)
    sender = Sender(sender_journal, call, settler, sender_breaker, rate, retry)

    return Groups(
        log=log,
        ownership=ownership,
        database=database,
        twilio=twilio,
        rate=rate,
        projector=projector,
        projecting=BatchConsumer(log, ownership, group=PROJECTOR, positions=projector.positions, on_fatal=on_fatal),
        responding=GroupConsumer(
            log, ownership, group=RESPONDER, names=RESPONDER_EVENTS, max_in_flight=settings.max_in_flight, on_fatal=on_fatal
        ),
        sending=GroupConsumer(
            log, ownership, group=SENDER, names=SENDER_EVENTS, max_in_flight=settings.max_in_flight, on_fatal=on_fatal
        ),
        respond=Attempts(
            responder_journal, responder_breaker, retry, handling(RESPONDER, responder.respond), responder.overlooked
        ),
        send=Attempts(sender_journal, sender_breaker, retry, handling(SENDER, sender.send), sender.overlooked),
        breakers=(responder_breaker, sender_breaker),
    )


def breaker(group: str, settings: Settings) -> Breaker:
    """What tells an outage from poison in one group."""
    return Breaker(group, pause_seconds=settings.retry_max_seconds, patience_seconds=settings.retry_outage_seconds)


def manner(settings: Settings) -> Manner:
    """How the responder goes about an answer."""
    overlooked_seconds = settings.ai_turn_timeout_seconds + settings.reply_quiet_seconds + OVERLOOKED_MARGIN_SECONDS
    return Manner(
        quiet_seconds=settings.reply_quiet_seconds,
        limits=turn_limits(settings),
        failure_sentence=next(iter(split(settings.ai_failure_sentence, most=1)), None),
        overlooked_after_ms=round(overlooked_seconds * 1000),
    )


def twilio_client(settings: Settings) -> TwilioClient:
    """Our calls to Twilio. A call ends well within a lease, so that a lease just renewed always outlives it."""
    return TwilioClient(
        account_sid=settings.twilio_account_sid,
        auth_token=settings.twilio_auth_token[0].get_secret_value(),
        api_url=settings.twilio_api_url,
        timeout_seconds=min(settings.twilio_timeout_seconds, settings.lease_seconds / 2),
    )


def send_rate(settings: Settings) -> SendRate:
    """As the settings limit it, if they do."""
    per_second = settings.twilio_messages_per_second
    return SendRate(RedisRateLimit(settings.redis_url.get_secret_value(), per_second) if per_second else None)


def grace_seconds(settings: Settings) -> float:
    """How long after an attempt's start absence proves nothing: as late as its call may end, and then for as long as is set."""
    return settings.lease_seconds + settings.twilio_timeout_seconds + settings.send_proof_seconds
