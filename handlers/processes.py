"""The two processes that run under `faststream run`: the consumer groups and the clock."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from faststream import FastStream
from faststream.redis import RedisBroker
from faststream.specification import AsyncAPI

import metrics
import tracing
from handlers.counting import ProjectorLag, conversation_gauges, count_regularly, read_model_gauges
from handlers.ending import Ending, listen_to_workers
from handlers.gauges import observe_clock, observe_groups
from handlers.groups import build_groups
from handlers.health import Vitals, served
from handlers.journal import patiently
from handlers.readiness import HUNG_SECONDS, hung, problems_of_clock, problems_of_groups, require_agreement_at_start
from handlers.reconciling import patient_twilio_client, reconciling_of
from handlers.ticker import Ticker
from projections.database import Database
from settings import Settings, load_settings, warn_of_misspelt_settings
from streams.cancellation import end
from streams.engines.choose import event_log
from streams.errors import ConfigurationError, FatalError
from telemetry import configure_logging, log, name_worker

FATAL_DRAIN_SECONDS = 2.0
"""What runs when a process must stop is given so long: calls that end soon shall not have to be settled by the next owner."""

FRAMEWORK_LOG = logging.getLogger("faststream")


def app_from_environment() -> FastStream:
    """The consumer groups as the environment configures them; one line and `SystemExit` where it is wrong."""
    return _from_environment("handlers", build_app)


def clock_from_environment() -> FastStream:
    """The clock as the environment configures it; one line and `SystemExit` where it is wrong."""
    return _from_environment("clock", build_clock)


def build_app(settings: Settings) -> FastStream:
    """The consumer groups of one process."""
    ending = Ending()
    groups = build_groups(settings, ending.fatal)
    projector_lag = ProjectorLag(groups)
    counting: list[asyncio.Task[None]] = []
    vitals = Vitals(
        metrics.HANDLERS,
        hung=lambda: hung(groups.heartbeats),
        problems=lambda: problems_of_groups(groups),
        observe=lambda: observe_groups(groups, projector_lag),
    )

    async def open_log() -> None:
        if await _opened(groups.log.start, ending.refused):
            await _opened(lambda: require_agreement_at_start(groups), ending.fatal)

    async def claim() -> None:
        if not ending.is_fatal:
            await groups.ownership.start()
            counting.append(asyncio.create_task(count_regularly("what the projector has before it", projector_lag.count)))

    async def give_back() -> None:
        if ending.is_fatal:
            groups.hurry(FATAL_DRAIN_SECONDS)
        await groups.ownership.stop()

    async def close() -> None:
        await end(counting)
        await groups.twilio.close()
        await groups.rate.close()
        await groups.database.close()
        await groups.log.close()

    broker = _broker(settings)
    groups.subscribe(broker)
    app = _application(settings, broker, ending, "prosa-handlers", vitals)
    app.on_startup(open_log)
    app.after_startup(claim)
    app.on_shutdown(give_back)
    app.after_shutdown(close)
    app.after_shutdown(ending.over)
    return app


def build_clock(settings: Settings) -> FastStream:
    """The clock."""
    ending = Ending()
    event_log_ = event_log(settings)
    database = Database(settings.database_url.get_secret_value(), max_connections=3)
    ticker = Ticker(event_log_, database, settings)
    twilio = patient_twilio_client(settings)
    reconciling = reconciling_of(settings, event_log_, database, twilio)
    read_model, conversations = read_model_gauges(database), conversation_gauges(database)
    vitals = Vitals(
        metrics.CLOCK,
        hung=lambda: hung([ticker.heartbeat], allowed_seconds=HUNG_SECONDS + settings.clock_tick_seconds),
        problems=lambda: problems_of_clock(event_log_, ticker),
        observe=lambda: observe_clock(ticker, read_model, conversations, reconciling),
    )
    running: list[asyncio.Task[None]] = []

    async def start() -> None:
        if await _opened(event_log_.start, ending.refused):
            if reconciling is not None:
                await patiently(reconciling.look_back)  # before the first tick, which ends a silence
                running.append(asyncio.create_task(reconciling.run()))
            task = asyncio.create_task(ticker.run(), name="clock")
            task.add_done_callback(lambda done: None if done.cancelled() else ending.fatal(done.exception() or FatalError()))
            running.append(task)
            running.append(asyncio.create_task(count_regularly("what waits in the read model", read_model.count)))
            running.append(asyncio.create_task(count_regularly("conversations", conversations.count)))

    async def stop() -> None:
        await end(running)
        await twilio.close()
        await database.close()
        await event_log_.close()

    app = _application(settings, _broker(settings), ending, "prosa-clock", vitals)
    app.on_startup(start)
    app.on_shutdown(stop)
    app.after_shutdown(ending.over)
    return app


def _broker(settings: Settings) -> RedisBroker:
    """Handlers take what the log delivers as it is; nothing is to be validated a second time."""
    return RedisBroker(settings.redis_url.get_secret_value(), logger=FRAMEWORK_LOG, apply_types=False)


def _application(settings: Settings, broker: RedisBroker, ending: Ending, service: str, vitals: Vitals) -> FastStream:
    @asynccontextmanager
    async def lifespan(worker_id: int | None = None) -> AsyncIterator[None]:
        name_worker(worker_id)
        async with ending.watched(app.exit, worker_id), tracing.exported(service), _health(settings, worker_id or 0, vitals):
            log.info("started", pid=os.getpid())
            yield
        log.info("stopped")

    specification = AsyncAPI(title="Prosa", version=version("prosa"), description="The log's consumer groups.")
    app = FastStream(broker, lifespan=lifespan, logger=FRAMEWORK_LOG, specification=specification)
    app.on_shutdown(ending.limited)
    return app


@asynccontextmanager
async def _health(settings: Settings, worker: int, vitals: Vitals) -> AsyncIterator[None]:
    if settings.metrics_port == 0:
        yield
        return
    async with served(settings.metrics_host, settings.metrics_port + worker, vitals):
        yield


async def _opened(start: Callable[[], Awaitable[None]], on_error: Callable[[FatalError], None]) -> bool:
    """Wait for the log as long as it takes; false where it must not be used."""
    try:
        await patiently(start)
    except FatalError as error:
        on_error(error)
        return False
    return True


def _from_environment(process: str, build: Callable[[Settings], FastStream]) -> FastStream:
    try:
        settings = load_settings()
        configure_logging(settings, process=process)
        listen_to_workers()
        warn_of_misspelt_settings()
        return build(settings)
    except ConfigurationError as error:
        print(f"prosa {process}: {'; '.join(str(error).splitlines())}", file=sys.stderr)  # noqa: T201 - the last word of a process
        raise SystemExit(error.exit_code) from None
