"""Where the handlers tell how they are: the first worker at METRICS_PORT, each further one at the next port."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from operations.doctor.findings import Finding, Group, warning, well
from operations.doctor.system import System
from streams.errors import LogUnavailable
from telemetry import ranges

COUNT_SECONDS = 1.0
CONNECT_SECONDS = 2.0
PROBE_SECONDS = 3.5
"""A worker may take 2 s to tell that log or Postgres do not answer. Counting and asking are within the deadline of a check."""

HIGHEST_PORT = 65535
SILENCE = "what takes connections there says nothing; if it is a worker, start it again"


@dataclass(frozen=True, slots=True)
class Heard:
    """What one port said: what keeps a process of ours from its work, nothing where it is ready; or that it `is_foreign`."""

    problems: Sequence[str] = ()
    is_foreign: bool = False


async def metrics_port(system: System) -> Sequence[Finding]:
    """As many ports are asked as workers hold partitions, on this machine or another: where nobody answers may be well."""
    host, first = system.settings.metrics_host, system.settings.metrics_port
    if first == 0:
        sentence = "Handlers and clock serve neither health nor metrics: METRICS_PORT is 0."
        return [warning(Group.CONFIGURED, sentence, "set METRICS_PORT, such as 9100")]
    ports = range(first, min(first + await _workers(system), HIGHEST_PORT + 1))
    heard = await _heard(host, ports)
    if first in heard and heard[first].is_foreign:
        sentence = f"Something else listens at {host}:{first}."
        return [warning(Group.CONFIGURED, sentence, "set METRICS_PORT to a port that is free")]
    ours = {port: each.problems for port, each in heard.items() if not each.is_foreign}
    return [*_answering(host, ours), *_not_ready(host, ours), *_missing(system, host, set(ports) - ours.keys())]


async def _workers(system: System) -> int:
    """How many hold partitions; one where the log cannot say."""
    try:
        async with asyncio.timeout(COUNT_SECONDS):
            holders = await system.log.holders()
    except (LogUnavailable, TimeoutError):
        return 1
    return max(1, len({holder.member for holder in holders.values()}))


async def _heard(host: str, ports: Sequence[int]) -> Mapping[int, Heard]:
    """By port; one at which nobody listens is left out."""
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS, sock_connect=CONNECT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        answers = await asyncio.gather(*(_ask(session, f"http://{host}:{port}/health/ready") for port in ports))
    return {port: heard for port, heard in zip(ports, answers, strict=True) if heard is not None}


async def _ask(session: aiohttp.ClientSession, url: str) -> Heard | None:
    try:
        async with session.get(url, allow_redirects=False) as response:
            return _understood(await response.json())
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        return None
    except TimeoutError:
        return Heard([SILENCE])
    except (aiohttp.ClientError, OSError, ValueError):
        return Heard(is_foreign=True)


def _understood(answer: object) -> Heard:
    match answer:
        case {"status": "ok" | "unavailable", "problems": list(problems)}:
            return Heard([str(problem) for problem in problems])
        case _:
            return Heard(is_foreign=True)


def _answering(host: str, ours: Mapping[int, Sequence[str]]) -> Sequence[Finding]:
    ports = [port for port, problems in ours.items() if SILENCE not in problems]
    return [well(Group.REACHABLE, f"Health and metrics answer at {host}:{ranges(ports)}.")] if ports else []


def _not_ready(host: str, ours: Mapping[int, Sequence[str]]) -> Sequence[Finding]:
    """Each problem once, with all who have it."""
    found = []
    for problem in dict.fromkeys(each for problems in ours.values() for each in problems):
        where = ranges(port for port, problems in ours.items() if problem in problems)
        what, _, remedy = problem.partition("; ")
        found.append(warning(Group.REACHABLE, f"Not ready at {host}:{where}: {what}.", remedy or "its log lines say more"))
    return found


def _missing(system: System, host: str, ports: Collection[int]) -> Sequence[Finding]:
    """Elsewhere it is no mistake: the handlers may run on other machines. Whether any run at all is another check's."""
    if not system.directory or not ports:
        return []
    sentence = f"No health and metrics answer at {host}:{ranges(ports)}."
    return [warning(Group.REACHABLE, sentence, "what prosa dev prints says why its handlers do not run")]
