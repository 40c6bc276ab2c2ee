"""What goes wrong on purpose, as a plan: how many of the next ones, and then which share of those that are left."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from simulator.model.faults import ModelFaults
from simulator.request_model import RequestModel

Counter = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class CreateFault(StrEnum):
    """
    How a create is answered. `before` leaves no message behind, `after` leaves one that the client does not hear of.

    A late one is taken only after the pause, whether or not the client still waits; a slow one is taken at once and answered
    after the pause. Both are answered with 201.
    """

    TOO_MANY_REQUESTS = "429"
    ERROR_BEFORE = "500_before"
    RESET_BEFORE = "reset_before"
    HANG_BEFORE = "hang_before"
    LATE = "late"
    ERROR_AFTER = "500_after"
    RESET_AFTER = "reset_after"
    HANG_AFTER = "hang_after"
    SLOW = "slow"

    @property
    def is_before(self) -> bool:
        """Whether it comes before the acceptance."""
        return self in {self.TOO_MANY_REQUESTS, self.ERROR_BEFORE, self.RESET_BEFORE, self.HANG_BEFORE, self.LATE}


class Rejection(RequestModel):
    """Refuse the next n creates with this code."""

    code: int
    status: int = Field(default=400, ge=400, le=599)
    n: int = Field(default=1, ge=0)


class CreateFaults(RequestModel):
    """How many of the next creates go wrong, in this order; then the rates, of the creates that are left."""

    too_many_requests: Counter = Field(default=0, alias="429")
    error_before: Counter = Field(default=0, alias="500_before")
    reset_before: Counter = 0
    hang_before: Counter = 0
    late: Counter = 0
    error_after: Counter = Field(default=0, alias="500_after")
    reset_after: Counter = 0
    hang_after: Counter = 0
    slow: Counter = 0
    reject: Rejection | None = None
    rates: dict[CreateFault, Rate] = Field(default_factory=dict)
    retry_after_seconds: int | None = Field(default=None, ge=0)
    """What a 429 tells the client to wait; nothing by default, as Twilio often does."""
    slow_seconds: Seconds = 10.0
    hang_seconds: Seconds = 30.0
    """After which a hanging create is reset, if the client has not given up."""


class Failure(RequestModel):
    """The next n messages that are accepted fail on their way with this code, and never reach the phone."""

    code: int
    n: int = Field(default=1, ge=0)


class CallbackFaults(RequestModel):
    """
    Of a message's callbacks; the last two rates are of messages. Copies of one callback go out at the same moment.

    At once: all are held back until the last status, and posted at the same moment. Reversed: likewise, one after the other, the
    last status first.
    """

    lost_rate: Rate = 0.0
    duplicate_rate: Rate = 0.0
    delay_seconds: Seconds = 0.0
    jitter_seconds: Seconds = 0.0
    """Up to this much more, drawn for each callback: they overtake one another."""
    at_once_rate: Rate = 0.0
    reversed_rate: Rate = 0.0
    read_receipts: bool = True
    fail: Failure | None = None
    fail_rates: dict[int, Rate] = Field(default_factory=dict)
    """By code: which share of the accepted messages fails with it on their way."""


class InboundFaults(RequestModel):
    """
    Of what contacts write. What is lost is never posted to the webhook or its fallback, and stands in the list all the same.

    A replay posts an older message's webhook once more, with the signature that it had.
    """

    lost: Counter = 0
    lost_rate: Rate = 0.0
    duplicate_rate: Rate = 0.0
    copies: int = Field(default=2, ge=2, le=100)
    """How often a duplicate is posted."""
    copies_after_seconds: Seconds = 0.0
    """When the copies follow the first post; at the same moment by default."""
    replay_rate: Rate = 0.0


class ListingFault(StrEnum):
    TOO_MANY_REQUESTS = "429"
    ERROR = "500"
    GARBLED = "garbled"
    """Half a page, with status 200."""
    RESET = "reset"
    HANG = "hang"


class ListingFaults(RequestModel):
    """Of the next pages of the list of messages; then the rates, of the pages that are left."""

    too_many_requests: Counter = Field(default=0, alias="429")
    error: Counter = Field(default=0, alias="500")
    garbled: Counter = 0
    reset: Counter = 0
    hang: Counter = 0
    rates: dict[ListingFault, Rate] = Field(default_factory=dict)
    retry_after_seconds: int | None = Field(default=None, ge=0)
    hang_seconds: Seconds = 30.0


class FaultPlan(RequestModel):
    """A seed begins the draws anew, and is gone from the plan as soon as it has."""

    create: CreateFaults = CreateFaults()
    callbacks: CallbackFaults = CallbackFaults()
    inbound: InboundFaults = InboundFaults()
    listing: ListingFaults = ListingFaults()
    model: ModelFaults = ModelFaults()
    listing_delay_seconds: Seconds = 0.0
    """An accepted message appears in the list only after this."""
    seed: int | None = None
