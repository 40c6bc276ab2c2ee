"""`.env`: names that nobody reads, and who else can read it."""

import stat
from collections.abc import Sequence

from operations.doctor.findings import Finding, Group, error, warning, well
from operations.doctor.system import System
from settings import misspelt_settings
from settings.env_file import ENV_FILE, problem_of_env_file


async def env_file(_: System) -> Sequence[Finding]:
    if wrong := problem_of_env_file():
        return [error(Group.CONFIGURED, f"{ENV_FILE} {wrong.partition(';')[0]}.", wrong.partition("; ")[2] or "make it readable")]
    if not ENV_FILE.is_file():
        return []
    findings = [
        warning(Group.CONFIGURED, f"{each.name} in {ENV_FILE} is no setting.", f"did you mean {each.meant}?")
        for each in misspelt_settings()
    ]
    if ENV_FILE.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        findings.append(warning(Group.SAFE, f"{ENV_FILE} can be read by other users of this machine.", f"chmod 600 {ENV_FILE}"))
    return findings or [well(Group.CONFIGURED, f"{ENV_FILE} is read.")]
