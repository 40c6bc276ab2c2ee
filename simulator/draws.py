"""The draws from the plan of what goes wrong. The same seed and the same order of calls give the same faults."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TypeVar

from simulator.faults import CreateFault, FaultPlan, ListingFault, Rejection
from simulator.model.faults import ModelFault

_Fault = TypeVar("_Fault", CreateFault, ListingFault, ModelFault)
_Hit = TypeVar("_Hit")


class CallbackOrder(StrEnum):
    AS_IT_HAPPENS = "as_it_happens"
    AT_ONCE = "at_once"
    REVERSED = "reversed"


@dataclass(frozen=True, slots=True)
class CallbackFate:
    copies: int
    delay_seconds: float


@dataclass(frozen=True, slots=True)
class InboundFate:
    """copies is 0 for what is never posted. replayed is the place of an older post, if one comes again with it."""

    copies: int
    copies_after_seconds: float
    replayed: int | None


class Faults:
    """
    plan is what is still to come: a counter that was drawn from has gone down.

    Each section of the plan draws from its own dice, so that how often a model is asked changes no send.
    """

    def __init__(self, seed: int) -> None:
        self._plan = FaultPlan()
        self._dice = _dice(seed)

    @property
    def plan(self) -> FaultPlan:
        return self._plan

    @plan.setter
    def plan(self, plan: FaultPlan) -> None:
        if plan.seed is not None:
            self._dice = _dice(plan.seed)
        self._plan = plan.model_copy(update={"seed": None})

    def draw_before_create(self) -> CreateFault | None:
        return self._draw("create", [fault for fault in CreateFault if fault.is_before])

    def draw_after_create(self) -> CreateFault | None:
        return self._draw("create", [fault for fault in CreateFault if not fault.is_before])

    def draw_rejection(self) -> Rejection | None:
        rejection = self.plan.create.reject
        if rejection is None or rejection.n == 0:
            return None
        self._spend("create", reject=rejection.model_copy(update={"n": rejection.n - 1}))
        return rejection

    def draw_failure(self) -> int | None:
        """The code with which a message that is just accepted is bound to fail."""
        callbacks = self.plan.callbacks
        if callbacks.fail is not None and callbacks.fail.n > 0:
            self._spend("callbacks", fail=callbacks.fail.model_copy(update={"n": callbacks.fail.n - 1}))
            return callbacks.fail.code
        return self._first("failures", callbacks.fail_rates.items())

    def draw_order(self) -> CallbackOrder:
        """Of one message's callbacks."""
        callbacks = self.plan.callbacks
        rates = [(CallbackOrder.AT_ONCE, callbacks.at_once_rate), (CallbackOrder.REVERSED, callbacks.reversed_rate)]
        return self._first("orders", rates) or CallbackOrder.AS_IT_HAPPENS

    def draw_callback(self) -> CallbackFate:
        callbacks, dice = self.plan.callbacks, self._dice["callbacks"]
        is_lost = dice.random() < callbacks.lost_rate
        is_doubled = dice.random() < callbacks.duplicate_rate
        delay_seconds = callbacks.delay_seconds + dice.random() * callbacks.jitter_seconds
        return CallbackFate(0 if is_lost else 2 if is_doubled else 1, delay_seconds)

    def draw_inbound(self, older: int) -> InboundFate:
        """older is how many posts could be replayed."""
        inbound, dice = self.plan.inbound, self._dice["inbound"]
        is_lost = dice.random() < inbound.lost_rate
        is_doubled = dice.random() < inbound.duplicate_rate
        is_replayed, place = dice.random() < inbound.replay_rate, dice.random()
        if inbound.lost > 0:
            is_lost = True
            self._spend("inbound", lost=inbound.lost - 1)
        copies = 0 if is_lost else inbound.copies if is_doubled else 1
        return InboundFate(copies, inbound.copies_after_seconds, int(place * older) if is_replayed and older else None)

    def draw_listing(self) -> ListingFault | None:
        return self._draw("listing", list(ListingFault))

    def draw_model(self) -> ModelFault | None:
        return self._draw("model", list(ModelFault))

    def _draw(self, section: str, candidates: Sequence[_Fault]) -> _Fault | None:
        """A counter is called as its fault is."""
        plan = getattr(self.plan, section)
        for fault in candidates:
            left: int = getattr(plan, fault.name.lower())
            if left > 0:
                self._spend(section, **{fault.name.lower(): left - 1})
                return fault
        return self._first(section, [(fault, plan.rates.get(fault, 0.0)) for fault in candidates])

    def _first(self, die: str, rates: Iterable[tuple[_Hit, float]]) -> _Hit | None:
        """All are drawn, so that a rate that is turned to nothing shifts none of the draws that follow."""
        hits = [what for what, rate in rates if self._dice[die].random() < rate]
        return hits[0] if hits else None

    def _spend(self, section: str, **left: object) -> None:
        spent = getattr(self.plan, section).model_copy(update=left)
        self._plan = self.plan.model_copy(update={section: spent})


def _dice(seed: int) -> dict[str, Random]:
    sections = ("create", "callbacks", "failures", "orders", "inbound", "listing", "model")
    return {section: Random(f"{seed} {section}") for section in sections}  # noqa: S311 - repeatable, not secret
