"""The server of the log: whether it answers, and what it is."""

from collections.abc import Sequence
from typing import Any

from operations.doctor.findings import Finding, Group, error, well
from operations.doctor.system import System
from streams.engines.redis_connection import unavailable_on_failure
from streams.engines.redis_safety import OLDEST_VERSION
from streams.errors import LogUnavailable

REMEDIES = {
    "NOAUTH": "put the password into REDIS_URL: redis://:PASSWORD@HOST:PORT/0",
    "WRONGPASS": "put the right user and password into REDIS_URL",
    "NOPERM": "let this user run INFO, CONFIG GET and what streams need: see ACL SETUSER",
    "LOADING": "wait: it reads its data from disk",
}


async def log_server(system: System) -> Sequence[Finding]:
    try:
        with unavailable_on_failure(system.redis):
            info: dict[str, Any] = await system.redis.info("server")
    except LogUnavailable as failure:
        code = str(failure).partition(": ")[0]
        remedy = REMEDIES.get(code, "start it, or set REDIS_URL to where it listens")
        return [error(Group.REACHABLE, f"The log at {system.log_server} does not answer: {code}.", remedy)]
    name, version = _name(info), str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        return [error(Group.CONFIGURED, f"The log's server is {name}, which is too old.", "use Redis 7.0 or newer, or Valkey")]
    return [well(Group.REACHABLE, f"The log answers at {system.log_server}: {name}.")]


def _name(info: dict[str, Any]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', '')}".strip()
