"""What a fault is: a kind, what varies of it, and the text that says both."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any, TypeAlias

from simulator.servers import EmbeddedPostgres, EmbeddedValkey
from tests.acceptance.processes import Process
from tests.harness.proxy import Proxy

Value: TypeAlias = int | float | str
Begin: TypeAlias = Callable[..., AbstractAsyncContextManager[Any]]
"""Called with the reach, the seconds, and each parameter by its name."""


class Part(StrEnum):
    """What a fault breaks; a link is called as what lies at its other end."""

    LOG = "log"
    POSTGRES = "postgres"
    TWILIO = "twilio"
    MODEL = "model"
    WEBHOOK = "webhook"
    PROCESS = "process"


class Needs(StrEnum):
    """What must be in reach."""

    DATABASE = "a database"
    VALKEY = "a Valkey of its own"
    POSTGRES = "a Postgres of its own"
    LINK = "a proxy"
    PROCESSES = "processes"


@dataclass(frozen=True)
class Reach:
    """What faults may lay hands on. The URLs are the servers' own; there are passwords in them."""

    redis_url: str
    database_url: str
    links: Mapping[Part, Proxy] = field(default_factory=dict)
    processes: Callable[[], Sequence[Process]] = tuple
    """Those that live now, in an order that means something: a fault names one by its number, modulo how many there are."""
    valkey: EmbeddedValkey | None = None
    postgres: EmbeddedPostgres | None = None
    stream: Callable[[int], str] = "prosa:log:{}".format


@dataclass(frozen=True)
class Kind:
    """One entry of the list: how it begins, how long it lasts (shortest, longest), and what it chooses its parameters from."""

    name: str
    breaks: Part
    needs: Needs
    begin: Begin
    seconds: tuple[float, float] = (0.5, 5.0)
    parameters: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    may_lose: bool = False
    """Whether something acknowledged may be gone for good."""

    def fits(self, reach: Reach) -> bool:
        """Whether what it needs is there."""
        match self.needs:
            case Needs.DATABASE:
                return True
            case Needs.VALKEY:
                return reach.valkey is not None
            case Needs.POSTGRES:
                return reach.postgres is not None
            case Needs.LINK:
                return self.breaks in reach.links
            case Needs.PROCESSES:
                return bool(reach.processes())

    def chosen(self, random: Random) -> "Fault":
        """One fault of this kind, drawn."""
        values = {name: random.choice(choices) for name, choices in self.parameters.items()}
        return Fault(self, math.ceil(random.uniform(*self.seconds) * 10) / 10, values)


@dataclass(frozen=True)
class Fault:
    """A kind with all that varies; as text it is the line that repeats it."""

    kind: Kind
    seconds: float
    values: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        settings = {**self.values, "seconds": self.seconds}
        return f"{self.kind.name}({', '.join(f'{name}={value}' for name, value in settings.items())})"

    def on(self, reach: Reach) -> AbstractAsyncContextManager[Any]:
        """Broken inside, healed afterwards; how long is up to the caller, `seconds` being what was drawn."""
        return self.kind.begin(reach, self.seconds, **self.values)
