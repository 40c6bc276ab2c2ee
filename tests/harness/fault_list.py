"""The list of all kinds of faults: what begins each, how long it lasts, and what is drawn for it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.acceptance.processes import Process
from tests.harness import own_servers, postgres_faults, valkey_faults
from tests.harness.fault_kinds import Begin, Kind, Needs, Part, Reach, Value
from tests.harness.process_faults import ProcessGone, send, stopped
from tests.harness.proxy import Proxy, Towards

MOMENT = (0.1, 1.0)
"""What is done in a moment: this long until the next thing."""
SOME = (0.5, 5.0)
NUMBERS: Mapping[str, Sequence[Value]] = {"number": (0, 1, 2, 3)}
STREAMS: Mapping[str, Sequence[Value]] = {"partition": (0, 1, 2, 3)}
STATEMENTS: Mapping[str, Sequence[Value]] = {
    "code": ("40001", "40P01", "53100", "57014", "XX000"),
    "at": (1, 2, 3),
    "times": (1, 3, 50),
}


@asynccontextmanager
async def _once(act: Awaitable[object]) -> AsyncIterator[None]:
    """Done at the beginning; heals by itself, or never."""
    await act
    yield


@asynccontextmanager
async def _beside(act: Awaitable[object]) -> AsyncIterator[None]:
    """Goes on meanwhile, and is waited for at the end."""
    doing = asyncio.ensure_future(act)
    try:
        yield
    finally:
        await doing


def _log(name: str, begin: Begin, seconds: tuple[float, float] = SOME, **rest: Any) -> Kind:
    return Kind(f"log_{name}", Part.LOG, begin=begin, seconds=seconds, **{"needs": Needs.VALKEY, **rest})


def _postgres(name: str, begin: Begin, seconds: tuple[float, float] = SOME, **rest: Any) -> Kind:
    return Kind(f"postgres_{name}", Part.POSTGRES, begin=begin, seconds=seconds, **{"needs": Needs.POSTGRES, **rest})


OF_THE_LOG = (
    _log("readonly", lambda reach, _: valkey_faults.readonly(reach.redis_url)),
    _log("no_replicas", lambda reach, _: valkey_faults.no_replicas(reach.redis_url)),
    _log("out_of_memory", lambda reach, _: valkey_faults.out_of_memory(reach.redis_url)),
    _log("misconfigured", lambda reach, _: valkey_faults.misconfigured(reach.valkey)),
    _log("shut_down", lambda reach, _: own_servers.shut_down(reach.valkey)),
    _log("killed", lambda reach, _: own_servers.killed(reach.valkey)),
    _log("hung", lambda reach, _: valkey_faults.hung(reach.valkey)),
    _log("loading", lambda reach, seconds: valkey_faults.loading(reach.valkey, seconds), (0.5, 3.0)),
    _log("writes_paused", lambda reach, seconds: valkey_faults.writes_paused(reach.redis_url, seconds)),
    _log("everything_paused", lambda reach, seconds: valkey_faults.everything_paused(reach.redis_url, seconds)),
    _log(
        "fsync_changed",
        lambda reach, _, appendfsync: valkey_faults.without_fsync(reach.redis_url, appendfsync),
        parameters={"appendfsync": ("no", "everysec")},
    ),
    _log("clients_ended", lambda reach, _: _once(valkey_faults.end_clients(reach.redis_url)), MOMENT),
    _log(
        "tail_cut",
        lambda reach, _, percent: _once(valkey_faults.cut_tail(reach.valkey, percent=percent)),
        MOMENT,
        parameters={"percent": (0.1, 1.0, 5.0, 30.0)},
        may_lose=True,
    ),
    _log(
        "flushed",
        lambda reach, _: _once(valkey_faults.flush_database(reach.redis_url)),
        MOMENT,
        needs=Needs.DATABASE,
        may_lose=True,
    ),
    _log(
        "stream_deleted",
        lambda reach, _, partition: _once(valkey_faults.delete_stream(reach.redis_url, reach.stream(partition))),
        MOMENT,
        needs=Needs.DATABASE,
        parameters=STREAMS,
        may_lose=True,
    ),
    _log(
        "group_destroyed",
        lambda reach, _, partition, group: _once(valkey_faults.destroy_group(reach.redis_url, reach.stream(partition), group)),
        MOMENT,
        needs=Needs.DATABASE,
        parameters={"group": ("responder", "sender"), **STREAMS},
    ),
)

OF_POSTGRES = (
    _postgres(
        "sessions_ended", lambda reach, _: _once(postgres_faults.end_sessions(reach.database_url)), MOMENT, needs=Needs.DATABASE
    ),
    _postgres("session_killed", lambda reach, _: _once(postgres_faults.kill_one_session(reach.database_url)), MOMENT),
    _postgres("shut_down", lambda reach, _: own_servers.shut_down(reach.postgres)),
    _postgres("crashed", lambda reach, _: postgres_faults.crashed(reach.postgres)),
    _postgres("killed", lambda reach, _: own_servers.killed(reach.postgres)),
    _postgres("hung", lambda reach, _: postgres_faults.hung(reach.postgres)),
    _postgres("locked", lambda reach, _: postgres_faults.locked(reach.database_url), needs=Needs.DATABASE),
    _postgres(
        "deadlock", lambda reach, seconds: _beside(postgres_faults.deadlock(reach.database_url, seconds)), needs=Needs.DATABASE
    ),
    _postgres(
        "raising",
        lambda reach, _, code, at, times: postgres_faults.raising(reach.database_url, code, at=at, times=times),
        needs=Needs.DATABASE,
        parameters=STATEMENTS,
    ),
    _postgres(
        "raising_at_commit",
        lambda reach, _, code, at, times: postgres_faults.raising_at_commit(reach.database_url, code, at=at, times=times),
        needs=Needs.DATABASE,
        parameters=STATEMENTS,
    ),
    _postgres("no_connection_left", lambda reach, _: postgres_faults.no_connection_left(reach.database_url)),
    _postgres("read_only", lambda reach, _: postgres_faults.read_only(reach.database_url), needs=Needs.DATABASE),
)


@asynccontextmanager
async def _switched(proxy: Proxy, switch: Callable[[], None]) -> AsyncIterator[None]:
    switch()
    try:
        yield
    finally:
        proxy.heal()


def _link(
    part: Part, name: str, switch: Callable[..., None], seconds: tuple[float, float] = SOME, **choices: Sequence[Value]
) -> Kind:
    def begin(reach: Reach, _: float, **values: Value) -> Any:
        return _switched(reach.links[part], lambda: switch(reach.links[part], **values))

    return Kind(f"{part}_link_{name}", part, Needs.LINK, begin, seconds, choices)


def _of_a_link(part: Part) -> tuple[Kind, ...]:
    ways = tuple(str(way) for way in Towards)
    return (
        _link(part, "cut", lambda proxy: proxy.cut()),
        _link(part, "reset", lambda proxy: proxy.reset(), MOMENT),
        _link(part, "refused", lambda proxy: proxy.refuse()),
        _link(part, "delayed", lambda proxy, delay: proxy.delay(delay, delay), delay=(0.01, 0.05, 0.3)),
        _link(part, "throttled", lambda proxy, rate: proxy.throttle(rate), rate=(2_000, 20_000)),
        _link(part, "held", lambda proxy, towards: proxy.hold(Towards(towards)), towards=ways),
        _link(part, "half_open", lambda proxy, towards: proxy.half_open(Towards(towards)), towards=ways),
        _link(part, "dropped", lambda proxy, after: proxy.drop_after(after), after=(1, 10, 100, 1_000)),
    )


OF_LINKS = tuple(kind for part in (Part.LOG, Part.POSTGRES, Part.TWILIO, Part.MODEL, Part.WEBHOOK) for kind in _of_a_link(part))


async def _signal(processes: Sequence[Process], number: int, what: signal.Signals) -> None:
    with suppress(ProcessGone):
        send(processes[number % len(processes)], what)


def _process(name: str, what: signal.Signals) -> Kind:
    def begin(reach: Reach, _: float, number: int) -> Any:
        return _once(_signal(reach.processes(), number, what))

    return Kind(f"process_{name}", Part.PROCESS, Needs.PROCESSES, begin, MOMENT, NUMBERS)


def _stopped(reach: Reach, _: float, number: int) -> Any:
    processes = reach.processes()
    return stopped(processes[number % len(processes)])


OF_PROCESSES = (
    _process("killed", signal.SIGKILL),
    _process("terminated", signal.SIGTERM),
    _process("interrupted", signal.SIGINT),
    Kind("process_stopped", Part.PROCESS, Needs.PROCESSES, _stopped, (0.5, 8.0), NUMBERS),
)

FAULTS: tuple[Kind, ...] = (*OF_THE_LOG, *OF_POSTGRES, *OF_LINKS, *OF_PROCESSES)
