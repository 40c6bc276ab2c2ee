"""
Every fault of a server, a link or a process, as a list; each fault is one line of text that repeats it.

    fault = choose(Random(seed))                        # or: parse("log_readonly(seconds=2.5)")
    print(fault)                                        # log_half_open(towards=server, seconds=4.0)
    async with fault.on(reach):                         # broken from here on
        await asyncio.sleep(fault.seconds)
    ...                                                 # healed; now the system must settle by itself

How a runner goes over all of them: for each `kind` in `FAULTS` that `kind.fits(reach)`, and for each seed,
`kind.chosen(Random(seed))`, then as above. After one that `may_lose` an operator repairs the log
(`lost_log.py`). A kind of one server `fits` only where the reach has that server, to which nobody else may be
connected then; a kind of a link only where there is a proxy on it.
"""

import re
from collections.abc import Iterable
from random import Random

from tests.harness.fault_kinds import Fault, Kind, Needs, Part, Reach
from tests.harness.fault_list import FAULTS

__all__ = ["FAULTS", "Fault", "Kind", "Needs", "Part", "Reach", "choose", "kind_named", "parse"]

SPEC = re.compile(r"(?P<name>\w+)\((?P<settings>[^()]*)\)")


def choose(random: Random, kinds: Iterable[Kind] | None = None) -> Fault:
    """Any of these kinds, or of all, as the random number wills."""
    return random.choice(tuple(FAULTS if kinds is None else kinds)).chosen(random)


def parse(spec: str) -> Fault:
    """The fault that a line names; a parameter that is not named has its first choice. Raises `ValueError`."""
    found = SPEC.fullmatch(spec.strip())
    if found is None:
        raise ValueError(f"{spec!r} is not a fault; one looks like {FAULTS[0].chosen(Random(0))}")  # noqa: S311 - an example
    kind = kind_named(found["name"])
    given = dict(_setting(each) for each in found["settings"].split(",") if each.strip())
    seconds = float(given.pop("seconds", kind.seconds[0]))
    if unknown := given.keys() - kind.parameters.keys():
        raise ValueError(f"{kind.name} has no {', '.join(sorted(unknown))}; it has {', '.join([*kind.parameters, 'seconds'])}")
    values = {name: type(choices[0])(given.get(name, choices[0])) for name, choices in kind.parameters.items()}
    return Fault(kind, seconds, values)


def kind_named(name: str) -> Kind:
    """Raises `ValueError`."""
    for kind in FAULTS:
        if kind.name == name:
            return kind
    raise ValueError(f"there is no fault {name!r}; there are {', '.join(kind.name for kind in FAULTS)}")


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.strip().partition("=")
    if not equals:
        raise ValueError(f"{text.strip()!r} has no value")
    return name, value
