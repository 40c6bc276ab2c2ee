"""This machine's clock against the log's. No skew reaches the state; certificates and people do mind."""

import time
from collections.abc import Sequence

from operations.doctor.findings import Finding, Group, error, warning, well
from operations.doctor.system import System

NOTICEABLE_SECONDS = 5.0
INTOLERABLE_SECONDS = 300.0
"""Settling a send compares the log's time with Twilio's and bears so much."""


async def host_clock(system: System) -> Sequence[Finding]:
    before = time.time()
    log_seconds = await system.log.time_ms() / 1000
    skew = abs((before + time.time()) / 2 - log_seconds)
    if skew <= NOTICEABLE_SECONDS:
        return [well(Group.SAFE, "This machine and the log's server agree on the time.")]
    found = error if skew > INTOLERABLE_SECONDS else warning
    return [found(Group.SAFE, f"This machine's clock and the log's server are {skew:.0f} s apart.", "let NTP set both clocks")]
