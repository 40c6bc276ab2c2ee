"""The catalogue of faults of servers, links and processes (see `catalogue.py`), each kind as a fault of a trial."""

from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random
from typing import ClassVar

from streams.engines.redis_log import stream_key
from tests.acceptance.processes import Process, descendants
from tests.harness.checker import HARSH, STRICT
from tests.harness.fault_kinds import Kind, Needs, Part, Reach
from tests.harness.faults import Fault
from tests.harness.system import Link, System

LINKS = {Part.LOG: Link.LOG, Part.POSTGRES: Link.DATABASE, Part.TWILIO: Link.TWILIO, Part.WEBHOOK: Link.WEBHOOK}
"""The proxies of a system, as the catalogue calls them; the model's is not there yet."""


class ListedFault(Fault):
    """One of a kind, drawn by the trial's seed."""

    kind: ClassVar[Kind]

    async def inject(self, system: System, random: Random) -> str:
        fault = self.kind.chosen(random)
        self.hold_seconds = (fault.seconds, fault.seconds)
        self._broken = AsyncExitStack()
        await self._broken.enter_async_context(fault.on(reach_of(system)))
        return str(fault)

    async def heal(self, system: System) -> None:
        await self._broken.aclose()


def listed(kind: Kind) -> type[Fault]:
    """The class of a kind, named as the kind is."""
    allowed = HARSH if kind.breaks in (Part.WEBHOOK, Part.LOG, Part.PROCESS) else STRICT
    attributes = {
        "__doc__": f"`{kind.name}` of the catalogue.",
        "name": kind.name.replace("_", "-"),
        "kind": kind,
        "allowed": replace(allowed, lost_tail=kind.may_lose),
        "proxied": (LINKS[kind.breaks],) if kind.needs is Needs.LINK else (),
        "needs_own_servers": kind.needs in (Needs.VALKEY, Needs.POSTGRES, Needs.DATABASE),
    }
    return type(kind.name, (ListedFault,), attributes)


def is_in_reach(kind: Kind) -> bool:
    """Whether a system has what it breaks."""
    return kind.needs is not Needs.LINK or kind.breaks in LINKS


def reach_of(system: System) -> Reach:
    """What the faults may lay hands on."""
    servers = system.servers
    return Reach(
        system.stores.redis_url,
        system.stores.database_url,
        links={part: system.links[link] for part, link in LINKS.items() if link in system.links},
        processes=lambda: _processes(system),
        valkey=servers.valkey if servers else None,
        postgres=servers.postgres if servers else None,
        stream=stream_key,
    )


def _processes(system: System) -> list[Process]:
    """The handlers first."""
    pids = [system.programs[name].running.pid for name in [*system.handler_names, "webhook", "clock"]]
    found = {process.pid: process for process in descendants(system.nursery.pid)}
    return [found[pid] for pid in pids if pid in found]
