"""
The faults of the catalogue as the runner takes them: a class for each kind that can be done to a `System`.

Left out is what loses acknowledged events, which an operator heals (`lost_log.py`), and the model's link, which it has not got.
"""

from contextlib import AsyncExitStack
from random import Random
from typing import ClassVar

from tests.acceptance.processes import Process, process_of
from tests.harness.allowed import HARSH, STRICT
from tests.harness.catalogue import FAULTS as KINDS
from tests.harness.catalogue import Kind, Needs, Part, Reach
from tests.harness.faults import Fault
from tests.harness.programs import SIMULATOR
from tests.harness.system import Link, System

LINKS = {Part.LOG: Link.LOG, Part.POSTGRES: Link.DATABASE, Part.TWILIO: Link.TWILIO, Part.WEBHOOK: Link.WEBHOOK}
LOSES_CALLBACKS = {Part.LOG, Part.WEBHOOK, Part.PROCESS}
"""Twilio tells a status once; where nobody can take it, nobody is told again."""


class Catalogued(Fault):
    """One fault of a kind, drawn when it is injected."""

    kind: ClassVar[Kind]

    def __init__(self) -> None:
        """How long it lasts is drawn with all the rest of it."""
        self._broken = AsyncExitStack()

    async def inject(self, system: System, random: Random) -> str:
        fault = self.kind.chosen(random)
        self.hold_seconds = (fault.seconds, fault.seconds)
        await self._broken.enter_async_context(fault.on(reach_of(system)))
        return str(fault)

    async def heal(self, system: System) -> None:
        await self._broken.aclose()


def reach_of(system: System) -> Reach:
    """What of a system a fault may lay hands on; the servers only where they are its own to break."""
    servers = system.servers

    def processes() -> list[Process]:
        pids = [each.running.pid for each in system.programs.values() if each.name != SIMULATOR]
        return [process for pid in pids if (process := process_of(pid))]

    return Reach(
        redis_url=system.stores.redis_url,
        database_url=system.stores.database_url,
        links={part: system.links[link] for part, link in LINKS.items() if link in system.links},
        processes=processes,
        valkey=servers.valkey if servers else None,
        postgres=servers.postgres if servers else None,
    )


def _class_of(kind: Kind) -> type[Catalogued]:
    attributes = {
        "__doc__": f"{kind.name} of the catalogue.",
        "name": kind.name.replace("_", "-"),
        "kind": kind,
        "hold_seconds": kind.seconds,
        "allowed": HARSH if kind.breaks in LOSES_CALLBACKS else STRICT,
        "proxied": (LINKS[kind.breaks],) if kind.needs is Needs.LINK else (),
        "needs_own_servers": kind.needs in (Needs.VALKEY, Needs.POSTGRES),
    }
    return type(f"Catalogued_{kind.name}", (Catalogued,), attributes)


CLASSES: tuple[type[Catalogued], ...] = tuple(
    _class_of(kind) for kind in KINDS if not kind.may_lose and not (kind.needs is Needs.LINK and kind.breaks not in LINKS)
)
"""To be put into the runner's list."""
