"""Ways in which the log can be away, each with its way back."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from simulator.servers import free_port
from tests.harness.proxy import Towards
from tests.outages.system import System, eventually

FAULTS = ("READONLY", "NOREPLICAS", "OOM", "MISCONF", "WRONGPASS", "LOADING", "refused", "killed", "SIGSTOP", "half open", "held")

ENTRIES_TO_LOAD = 20_000
ENTRY_MICROSECONDS = 1_000
"""A server that loads its file hears nobody for 1,024 entries at a time."""


@contextmanager
def configured(system: System, **settings: Any) -> Iterator[None]:
    """These settings of the server meanwhile."""
    with system.redis as client:
        before = {name: client.config_get(name)[name] for name in settings}
        for name, value in settings.items():
            client.config_set(name, value)
    try:
        yield
    finally:
        with system.redis as client:
            for name, value in before.items():
                client.config_set(name, value)


@contextmanager
def away(system: System, fault: str) -> Iterator[None]:
    """The log cannot be used meanwhile; it answers again when this returns."""
    match fault:
        case "READONLY":
            with system.redis as client:
                client.replicaof("127.0.0.1", free_port())
                yield
                client.replicaof("NO", "ONE")
        case "NOREPLICAS":
            with configured(system, **{"min-replicas-to-write": 1}):
                yield
        case "OOM":
            with configured(system, maxmemory=1):
                yield
        case "MISCONF":
            with _saves_that_fail(system):
                yield
        case "WRONGPASS":
            with _another_password(system):
                yield
        case "LOADING":
            with _loading(system):
                yield
        case "refused":
            system.proxy.reset()
            system.proxy.refuse()
            yield
            system.proxy.heal()
        case "killed":
            system.valkey.process.kill()
            system.valkey.process.wait()
            yield
            system.valkey.start()
        case "SIGSTOP":
            os.kill(system.valkey.pid, signal.SIGSTOP)
            yield
            os.kill(system.valkey.pid, signal.SIGCONT)
        case "half open":
            system.proxy.half_open(Towards.BOTH)
            yield
            system.proxy.heal()
        case "held":
            system.proxy.hold()
            yield
            system.proxy.heal()
        case _:
            raise ValueError(fault)


@contextmanager
def _saves_that_fail(system: System) -> Iterator[None]:
    """A folder stands where the snapshot would go."""
    obstacle = system.valkey.directory.path / "dump.rdb"
    with system.redis as client, configured(system, save="3600 1"):
        obstacle.unlink(missing_ok=True)  # what an earlier save left
        obstacle.mkdir()
        try:
            client.bgsave()
            eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", 10, "a save fails")
            yield
        finally:
            obstacle.rmdir()
            client.bgsave()
            eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok", 10, "a save succeeds")


@contextmanager
def _another_password(system: System) -> Iterator[None]:
    """Those that are connected are ended; nobody who connects is let in."""
    ours = system.valkey.directory.password
    with system.redis as client:
        client.config_set("requirepass", "another password")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        yield
        client.config_set("requirepass", ours)


@contextmanager
def _loading(system: System) -> Iterator[None]:
    """The server starts again and takes its time to read what it holds; meanwhile it lets nobody in, and tells so each second."""
    with system.redis as client, client.pipeline(transaction=False) as pipeline:
        for number in range(ENTRIES_TO_LOAD):
            pipeline.set("filler", number)
        pipeline.execute()
    system.valkey.process.kill()
    system.valkey.process.wait()
    system.valkey.entry_microseconds = ENTRY_MICROSECONDS
    system.valkey.start()
    try:
        with system.redis as client:
            eventually(lambda: _is_loading(client), 10, "it loads")
            yield
            client.config_set("key-load-delay", 0)
            eventually(lambda: not _is_loading(client), 30, "it has loaded")
    finally:
        system.valkey.entry_microseconds = 0


def _is_loading(client: Any) -> bool:
    """One that does not listen yet will."""
    try:
        return bool(client.info("persistence")["loading"])
    except redis.ConnectionError:
        return True
