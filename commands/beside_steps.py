"""The steps beside a phone: what is told of one message is one step, which grows."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from simulator.phone.beside import Step

if TYPE_CHECKING:
    from operations.refold import Step as Told

FAILURES = frozenset({"reply.failed", "send.rejected", "event.dead_lettered"})
UNSENT = frozenset({"failed", "undelivered"})
OF_MESSAGE = "message "


def folded(steps: "Iterable[Told]") -> tuple[Step, ...]:
    """Each status of a message joins the step of its first one: `message sent, delivered, read`."""
    found: dict[str, Step] = {}
    for told in steps:
        key = f"message-{told.message}" if told.message else told.event_id or f"silence-{told.at_ms}"
        step = Step(key, told.name, told.at_ms, told.changes, is_failure=told.name in FAILURES)
        known = found.get(key)
        found[key] = replace(known, changes=tuple(_joined([*known.changes, *told.changes]))) if known else step
    return tuple(replace(step, is_failure=step.is_failure or _is_unsent(step)) for step in found.values())


def _joined(changes: Iterable[str]) -> Iterator[str]:
    """How far the message came in one sentence, and then whatever else changed with it."""
    changes = tuple(changes)
    came = [change.removeprefix(OF_MESSAGE) for change in changes if change.startswith(OF_MESSAGE)]
    if came:
        yield OF_MESSAGE + ", ".join(came)
    yield from (change for change in changes if not change.startswith(OF_MESSAGE))


def _is_unsent(step: Step) -> bool:
    told = (change for change in step.changes if change.startswith(OF_MESSAGE))
    return any(not UNSENT.isdisjoint(change.replace(",", "").split(" ")) for change in told)
