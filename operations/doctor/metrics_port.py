"""Where handlers and clock tell how they are."""

from collections.abc import Sequence

import aiohttp

from operations.doctor.findings import Finding, Group, warning, well
from operations.doctor.system import System

PROBE_SECONDS = 2.0


async def metrics_port(system: System) -> Sequence[Finding]:
    host, port = system.settings.metrics_host, system.settings.metrics_port
    if port == 0:
        sentence = "Handlers and clock serve neither health nor metrics: METRICS_PORT is 0."
        return [warning(Group.CONFIGURED, sentence, "set METRICS_PORT, such as 9100")]
    where = f"{host}:{port}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PROBE_SECONDS), trust_env=False) as session,
            session.get(f"http://{where}/health/live") as response,
        ):
            is_ours = response.content_type == "application/json" and "status" in await response.json()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return _silence(system, where)
    if not is_ours:
        return [warning(Group.CONFIGURED, f"Something else listens at {where}.", "set METRICS_PORT to a port that is free")]
    return [well(Group.REACHABLE, f"Health and metrics answer at {where}.")]


def _silence(system: System, where: str) -> Sequence[Finding]:
    """Elsewhere it is no mistake: the handlers may run on other machines. Whether any run at all is another check's."""
    if not system.directory:
        return []
    return [
        warning(
            Group.REACHABLE, f"No health and metrics answer at {where}.", "what prosa dev prints says why its handlers do not run"
        )
    ]
