"""
How events of old versions are read: one pure function per step, from the data of version n to that of version n + 1.

There is none yet. The first one is entered as `("message.received", 1): add_language`, next to the golden file of version 2.
"""

from collections.abc import Callable, Mapping
from typing import Any

Upcaster = Callable[[Mapping[str, Any]], Mapping[str, Any]]

UPCASTERS: dict[tuple[str, int], Upcaster] = {}


def upcast(name: str, version: int, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Bring data to the newest version, step by step."""
    while step := UPCASTERS.get((name, version)):
        data, version = step(data), version + 1
    return data
