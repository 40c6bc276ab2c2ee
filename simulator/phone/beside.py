"""What may stand beside the phones: the system under test as it sees each contact. Whoever composes the page gives it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias


class BesideTrouble(Exception):
    """What stands beside the phones cannot tell or do it now; the sentence is for the person at the page."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """
    Something that happens by itself at a moment of log time; `since_ms` is when its time began to run.

    `coming` goes before how long it still is, `passed` is said once its moment is over.
    """

    what: str
    at_ms: int
    since_ms: int
    coming: str = "in"
    passed: str = "any moment now"


@dataclass(frozen=True, slots=True)
class Step:
    """
    An event, and what it changed in short sentences; or several that tell of one thing, of which the first was `at_ms`.

    `at_ms` is log time; `key` tells a step from every other one. `is_failure` marks what somebody should look at.
    """

    key: str
    name: str
    at_ms: int
    changes: tuple[str, ...]
    is_failure: bool = False


@dataclass(frozen=True, slots=True)
class ConversationView:
    """
    A conversation as the system has it.

    `status` is one word, `remark` what else is to be said about it, `now_ms` log time by now; steps come oldest first.
    `dead_letters` were given up on the way to this contact, or from them, and wait for a person.
    """

    status: str
    remark: str
    now_ms: int
    deadlines: tuple[Deadline, ...] = ()
    steps: tuple[Step, ...] = ()
    acts: tuple[str, ...] = ()
    """What a person may do about it now: names from `Beside.acts`."""
    dead_letters: int = 0


Act: TypeAlias = Callable[[str, str], Awaitable[None]]
"""What a person does: to which contact's conversation, and the text where there is one."""


async def _nothing_to_close() -> None: ...


@dataclass(frozen=True, slots=True)
class Beside:
    """
    How the page asks the system under test. Everything raises `BesideTrouble`, and nothing else.

    `conversation` returns None for a contact whom the system does not know. `clock_ahead_ms` is by how much log time runs ahead
    of the world; `advance_clock` takes minutes, and returns when the change is seen.
    """

    conversation: Callable[[str], Awaitable[ConversationView | None]]
    clock_ahead_ms: Callable[[], Awaitable[int]]
    advance_clock: Callable[[int], Awaitable[None]]
    acts: Mapping[str, Act] = field(default_factory=lambda: MappingProxyType({}))
    close: Callable[[], Awaitable[None]] = _nothing_to_close
    """When the stand-in ends."""
