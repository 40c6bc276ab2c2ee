"""How events of old versions are read: one pure function per step, from the data of version n to that of version n + 1."""

from collections.abc import Callable, Mapping
from typing import Any

Upcaster = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def name_no_conversation(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Version 1 of a person's act meant whichever conversation was open."""
    return {**data, "conversation": None}


def give_up(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Version 1 knew no failure after which the messages went on waiting."""
    return {**data, "gives_up": True}


UPCASTERS: dict[tuple[str, int], Upcaster] = {
    ("conversation.taken", 1): name_no_conversation,
    ("conversation.released", 1): name_no_conversation,
    ("conversation.closed", 1): name_no_conversation,
    ("person.replied", 1): name_no_conversation,
    ("reply.failed", 1): give_up,
}


def upcast(name: str, version: int, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Bring data to the newest version, step by step."""
    while step := UPCASTERS.get((name, version)):
        data, version = step(data), version + 1
    return data
