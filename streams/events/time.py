"""What concerns a whole partition: its clock and its rules."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from streams.events.event_data import EventData


class ClockTicked(EventData):
    """Time passed. The log time of this event is what counts; `nominal` says which tick it was."""

    name: ClassVar[str] = "clock.ticked"

    nominal: datetime


class ClockAdvanced(EventData):
    """Development only: log time runs `offset_ms` ahead of the append time from here on. Absolute; it never goes back."""

    name: ClassVar[str] = "clock.advanced"

    offset_ms: int = Field(ge=0)


class AfterHandoff(StrEnum):
    """What a conversation becomes when a handoff runs out."""

    ACTIVE = "active"
    EXPIRED = "expired"


class PolicyChanged(EventData):
    """The rules that the fold obeys from here on; deadlines already set stay."""

    name: ClassVar[str] = "policy.changed"

    idle_after_minutes: float = Field(15, gt=0)
    expire_after_minutes: float = Field(1440, gt=0)
    expire_pending_after_minutes: float = Field(2880, gt=0)
    handoff_expires_after_minutes: float = Field(720, gt=0)
    after_handoff: AfterHandoff = AfterHandoff.ACTIVE
    close_words: tuple[str, ...] = ()
