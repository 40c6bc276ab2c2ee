"""What a model does on purpose instead of answering."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from simulator.request_model import RequestModel

Counter = Annotated[int, Field(ge=0)]


class ModelFault(StrEnum):
    TOO_MANY_REQUESTS = "429"
    ERROR = "500"
    RESET_MIDWAY = "reset_midway"
    """The connection is reset in the middle of the body."""
    HANG = "hang"
    EMPTY = "empty"
    NOT_JSON = "not_json"
    MEGABYTE = "megabyte"
    TOOL_CALLS = "tool_calls"
    """It asks for a tool that nobody offered, however often it is asked."""
    SLOW = "slow"
    """The usual answer, after the pause."""


class ModelFaults(RequestModel):
    """How many of the next calls go wrong, in this order; then the rates, of the calls that are left."""

    too_many_requests: Counter = Field(default=0, alias="429")
    error: Counter = Field(default=0, alias="500")
    reset_midway: Counter = 0
    hang: Counter = 0
    empty: Counter = 0
    not_json: Counter = 0
    megabyte: Counter = 0
    tool_calls: Counter = 0
    slow: Counter = 0
    rates: dict[ModelFault, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    retry_after_seconds: int | None = Field(default=1, ge=0)
    """What a 429 tells the client to wait."""
    slow_seconds: float = Field(default=10.0, ge=0)
    hang_seconds: float = Field(default=300.0, ge=0)
    """After which a hanging call is reset, if the client has not given up."""
