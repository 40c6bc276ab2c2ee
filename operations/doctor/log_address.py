"""Whether anybody can listen in between us and the log."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from operations.doctor.database_address import is_public
from operations.doctor.findings import Finding, Group, warning
from operations.doctor.system import System


async def log_address(system: System) -> Sequence[Finding]:
    address = urlsplit(system.settings.redis_url.get_secret_value())
    findings = []
    if address.scheme == "redis" and is_public(address.hostname or ""):
        sentence = f"The connection to {address.hostname} is not encrypted."
        findings.append(warning(Group.SAFE, sentence, "write REDIS_URL with rediss://"))
    if address.scheme != "unix" and not address.password and system.is_production:
        sentence = "The log's server wants no password: whoever reaches it can write events."
        findings.append(warning(Group.SAFE, sentence, "set requirepass, or a user by ACL, and put it into REDIS_URL"))
    return findings
