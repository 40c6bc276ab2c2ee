"""
What is done to a system, as small classes. To add a fault: write a class here or in a file of its own, and put it into `FAULTS`.
Those of servers, links and processes stand in `catalogue.py` and come along by `from_catalogue.py`.

    class CutDatabase(Fault):
        name = "cut-database"
        proxied = (Link.DATABASE,)

        async def inject(self, system: System, random: Random) -> str:
            system.links[Link.DATABASE].cut()
            return "cut"

        async def heal(self, system: System) -> None:
            system.links[Link.DATABASE].heal()

`inject` draws whatever it varies from the given random only, so that the seed repeats it, and tells in a word or two what it did;
between it and `heal` lie `hold_seconds`, drawn too. After `heal` the system must settle by itself, and the checker finds nothing
but what `allowed` names. A fault that breaks a server as a whole says `needs_own_servers` and finds it in `system.servers`.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import ClassVar

from tests.harness.allowed import HARSH, STRICT, Allowed
from tests.harness.programs import CLOCK, WEBHOOK
from tests.harness.system import Link, System


class Fault(ABC):
    """One kind of fault; an instance is injected and healed once."""

    name: ClassVar[str]
    allowed: ClassVar[Allowed] = STRICT
    proxied: ClassVar[Collection[Link]] = ()
    settings: ClassVar[Mapping[str, str]] = {}
    needs_own_servers: ClassVar[bool] = False
    hold_seconds: tuple[float, float] = (0.0, 0.5)
    """Shortest and longest."""
    healed: str = ""
    """What `heal` did, where that is worth telling."""

    @abstractmethod
    async def inject(self, system: System, random: Random) -> str:
        """Break something; tell what."""

    async def heal(self, system: System) -> None:  # noqa: B027 - most heal by themselves
        """Undo it, where it does not heal by itself."""


class KillHandlers(Fault):
    """SIGKILL of one handlers process, or of all."""

    name = "kill-handlers"

    async def inject(self, system: System, random: Random) -> str:
        killed = random.choice([*([name] for name in system.handler_names), system.handler_names])
        for name in killed:
            system.kill(name)
        return "+".join(killed)


class PauseHandlers(Fault):
    """SIGSTOP of one handlers process, or of all, for about as long as a lease or much longer."""

    name = "pause-handlers"
    hold_seconds = (1.0, 5.0)

    async def inject(self, system: System, random: Random) -> str:
        paused = random.choice([*([name] for name in system.handler_names), system.handler_names])
        for name in paused:
            system.pause(name)
        return "+".join(paused)

    async def heal(self, system: System) -> None:
        system.resume_all()


class KillWebhook(Fault):
    """SIGKILL of the webhook: posts that arrive meanwhile are refused, callbacks among them are lost."""

    name = "kill-webhook"
    allowed = HARSH

    async def inject(self, system: System, random: Random) -> str:
        system.kill(WEBHOOK)
        return WEBHOOK


class PauseWebhook(Fault):
    """SIGSTOP of the webhook: posts wait."""

    name = "pause-webhook"
    hold_seconds = (0.5, 4.0)

    async def inject(self, system: System, random: Random) -> str:
        system.pause(WEBHOOK)
        return WEBHOOK

    async def heal(self, system: System) -> None:
        system.resume_all()


class KillEverything(Fault):
    """SIGKILL of every process of ours at once, as where a machine restarts."""

    name = "kill-everything"
    allowed = HARSH

    async def inject(self, system: System, random: Random) -> str:
        for name in (WEBHOOK, CLOCK, *system.handler_names):
            system.kill(name)
        return "all"


FAULTS: Sequence[type[Fault]] = (KillHandlers, PauseHandlers, KillWebhook, PauseWebhook, KillEverything)
"""The classes that are no part of the catalogue."""
