"""What the simulator is told to do wrong, drawn from a seed. See docs/simulator.md."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, TypeAlias

Plan: TypeAlias = Mapping[str, Any]
Draw: TypeAlias = Callable[[Random], Plan]

CREATE = ("429", "500_before", "reset_before", "hang_before", "late", "500_after", "reset_after", "hang_after", "slow")
AFTER = ("500_after", "reset_after", "hang_after")
MODEL = ("429", "500", "reset_midway", "hang", "empty", "not_json", "tool_calls", "slow")
LISTED_AFTER_SECONDS = 0.9
"""A little less than the proof takes in a trial (`SEND_PROOF_SECONDS`, 1 s)."""
SLOW_SECONDS = (0.4, 0.9, 1.3, 1.8)
"""On both sides of the limit of a call (1 s), and within the proof."""


def create(fault: str | None = None) -> Draw:
    """Some of the next creates go wrong so; without a name a share of all, in every manner. Callbacks may not tell of them."""

    def plan(random: Random) -> Plan:
        rates = {name: random.choice((0.0, 0.1)) for name in CREATE}
        faults = {fault: random.randint(1, 6)} if fault else {"rates": {**rates, random.choice(CREATE): 0.2}}
        timing = {"slow_seconds": random.choice(SLOW_SECONDS)}
        if retry_after := random.choice((None, 1, 2)):
            timing["retry_after_seconds"] = retry_after
        told = random.choice(({}, {"lost_rate": 1.0}, {"lost_rate": 0.5}, {"delay_seconds": 3.0}))
        listed_after = 0.0 if fault in ("late", None) else random.choice((0.0, LISTED_AFTER_SECONDS))
        return {"create": {**faults, **timing}, "callbacks": told, "listing_delay_seconds": listed_after}

    return plan


def listing(fault: str) -> Draw:
    """Twilio takes what it says that it did not, tells nobody, and its list is late, or fails so."""

    def plan(random: Random) -> Plan:
        times = {random.choice(AFTER): random.randint(2, 5), random.choice(("500_before", "reset_before")): random.randint(0, 2)}
        failing = {} if fault == "late" else {fault: random.randint(1, 5)}
        if fault == "429":
            failing["retry_after_seconds"] = random.choice((1, 2))
        late = LISTED_AFTER_SECONDS if fault == "late" else random.choice((0.0, LISTED_AFTER_SECONDS))
        return {"create": times, "callbacks": {"lost_rate": 1.0}, "listing": failing, "listing_delay_seconds": late}

    return plan


def lost(random: Random) -> Plan:
    """Callbacks, with nothing else wrong or with sends that only they, or the list, could tell of."""
    faults = random.choice(({}, {random.choice(AFTER): random.randint(1, 4)}))
    return {"create": faults, "callbacks": {"lost_rate": random.choice((0.3, 0.7, 1.0))}}


def failing(code: int) -> Draw:
    """Some of the next messages are taken, and fail on their way."""

    def plan(random: Random) -> Plan:
        order = random.choice(({}, {"reversed_rate": 1.0}, {"at_once_rate": 1.0}, {"jitter_seconds": 1.0}))
        return {"callbacks": {"fail": {"code": code, "n": random.randint(1, 4)}, **order}}

    return plan


def of_callbacks(**choices: Sequence[float]) -> Draw:
    """One of the choices of each; the first send may be unknown besides."""

    def plan(random: Random) -> Plan:
        faults = random.choice(({}, {random.choice(AFTER): random.randint(1, 3)}))
        return {"create": faults, "callbacks": _chosen(random, choices)}

    return plan


def of_inbound(**choices: Sequence[float]) -> Draw:
    return lambda random: {"inbound": _chosen(random, choices)}


def of_model(fault: str) -> Draw:
    """A few calls, or every one for as long as it lasts."""

    def plan(random: Random) -> Plan:
        faults = random.choice(({fault: random.randint(1, 8)}, {"rates": {fault: 0.5}}, {"rates": {fault: 1.0}}))
        timing = {"retry_after_seconds": random.choice((None, 1, 5)), "slow_seconds": random.choice((0.6, 1.5))}
        return {"model": {**faults, **timing}}

    return plan


def model(random: Random) -> Plan:
    """A share of all calls, in every manner."""
    return {"model": {"rates": {name: random.choice((0.0, 0.1)) for name in MODEL} | {random.choice(MODEL): 0.3}}}


def _chosen(random: Random, choices: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: random.choice(values) for name, values in choices.items()}
