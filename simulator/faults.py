"""What goes wrong on purpose: a plan, and the draws from it. The same seed and the same order of calls give the same faults."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from pydantic import Field

from simulator.request_model import RequestModel


class CreateFault(StrEnum):
    """How a create is answered. `before` leaves no message behind, `after` leaves one that the client does not hear of."""

    TOO_MANY_REQUESTS = "429"
    ERROR_BEFORE = "500_before"
    RESET_BEFORE = "reset_before"
    HANG_BEFORE = "hang_before"
    ERROR_AFTER = "500_after"
    RESET_AFTER = "reset_after"
    HANG_AFTER = "hang_after"

    @property
    def is_before(self) -> bool:
        return self in {self.TOO_MANY_REQUESTS, self.ERROR_BEFORE, self.RESET_BEFORE, self.HANG_BEFORE}


class Rejection(RequestModel):
    """Refuse the next n creates with this code."""

    code: int
    status: int = Field(default=400, ge=400, le=599)
    n: int = Field(default=1, ge=0)


class CreateFaults(RequestModel):
    """How many of the next creates go wrong, in this order; then the rates, of the creates that are left."""

    too_many_requests: int = Field(default=0, ge=0, alias="429")
    error_before: int = Field(default=0, ge=0, alias="500_before")
    reset_before: int = Field(default=0, ge=0)
    hang_before: int = Field(default=0, ge=0)
    error_after: int = Field(default=0, ge=0, alias="500_after")
    reset_after: int = Field(default=0, ge=0)
    hang_after: int = Field(default=0, ge=0)
    reject: Rejection | None = None
    rates: dict[CreateFault, float] = Field(default_factory=dict)
    hang_seconds: float = Field(default=30.0, ge=0)
    """After which a hanging create is reset, if the client has not given up."""


class Failure(RequestModel):
    """The next n messages that are accepted fail on their way with this code, and never reach the phone."""

    code: int
    n: int = Field(default=1, ge=0)


class CallbackFaults(RequestModel):
    lost_rate: float = Field(default=0.0, ge=0, le=1)
    duplicate_rate: float = Field(default=0.0, ge=0, le=1)
    delay_seconds: float = Field(default=0.0, ge=0)
    jitter_seconds: float = Field(default=0.0, ge=0)
    """Up to this much more, drawn for each callback: they overtake one another."""
    read_receipts: bool = True
    fail: Failure | None = None


class FaultPlan(RequestModel):
    create: CreateFaults = CreateFaults()
    callbacks: CallbackFaults = CallbackFaults()
    listing_delay_seconds: float = Field(default=0.0, ge=0)
    """An accepted message appears in the list only after this."""


@dataclass(frozen=True, slots=True)
class CallbackFate:
    copies: int
    delay_seconds: float


COUNTERS = {
    CreateFault.TOO_MANY_REQUESTS: "too_many_requests",
    CreateFault.ERROR_BEFORE: "error_before",
    CreateFault.RESET_BEFORE: "reset_before",
    CreateFault.HANG_BEFORE: "hang_before",
    CreateFault.ERROR_AFTER: "error_after",
    CreateFault.RESET_AFTER: "reset_after",
    CreateFault.HANG_AFTER: "hang_after",
}


class Faults:
    """plan is what is still to come: a counter that was drawn from has gone down."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - faults must be repeatable, not secret
        self.plan = FaultPlan()

    def draw_before_create(self) -> CreateFault | None:
        return self._draw([fault for fault in CreateFault if fault.is_before])

    def draw_after_create(self) -> CreateFault | None:
        return self._draw([fault for fault in CreateFault if not fault.is_before])

    def draw_rejection(self) -> Rejection | None:
        rejection = self.plan.create.reject
        if rejection is None or rejection.n == 0:
            return None
        self._spend_create({"reject": rejection.model_copy(update={"n": rejection.n - 1})})
        return rejection

    def draw_failure(self) -> int | None:
        failure = self.plan.callbacks.fail
        if failure is None or failure.n == 0:
            return None
        spent = self.plan.callbacks.model_copy(update={"fail": failure.model_copy(update={"n": failure.n - 1})})
        self.plan = self.plan.model_copy(update={"callbacks": spent})
        return failure.code

    def draw_callback(self) -> CallbackFate:
        callbacks = self.plan.callbacks
        is_lost = self._random.random() < callbacks.lost_rate
        is_doubled = self._random.random() < callbacks.duplicate_rate
        delay_seconds = callbacks.delay_seconds + self._random.random() * callbacks.jitter_seconds
        return CallbackFate(0 if is_lost else 2 if is_doubled else 1, delay_seconds)

    def _draw(self, candidates: list[CreateFault]) -> CreateFault | None:
        create = self.plan.create
        for fault in candidates:
            left: int = getattr(create, COUNTERS[fault])
            if left > 0:
                self._spend_create({COUNTERS[fault]: left - 1})
                return fault
        return next((fault for fault in candidates if self._random.random() < create.rates.get(fault, 0.0)), None)

    def _spend_create(self, update: dict[str, object]) -> None:
        self.plan = self.plan.model_copy(update={"create": self.plan.create.model_copy(update=update)})
