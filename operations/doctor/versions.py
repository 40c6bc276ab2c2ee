"""What is installed, against what this version was made for."""

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from operations.doctor.findings import Finding, Group, warning, well
from operations.doctor.system import System

NEWEST_PYTHON = (3, 14)
SHOWN = ("faststream", "redis")


async def versions(_: System) -> Sequence[Finding]:
    findings = [unfit(Requirement(line)) for line in requires("prosa") or ()]
    if sys.version_info[:2] > NEWEST_PYTHON:
        findings.append(
            warning(
                Group.CONFIGURED,
                f"Python {platform.python_version()} is newer than any that Prosa was tried with.",
                f"use Python {'.'.join(map(str, NEWEST_PYTHON))}",
            )
        )
    told = ", ".join(
        [f"Prosa {version('prosa')}", f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in SHOWN)]
    )
    return [finding for finding in findings if finding] or [well(Group.CONFIGURED, f"{told}.")]


def unfit(requirement: Requirement) -> Finding | None:
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
        return None
    remedy = "pip install --force-reinstall prosa, or in a checkout: make setup"
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return warning(Group.MISSING, f"The package {requirement.name} is not installed.", remedy)
    if requirement.specifier.contains(installed, prereleases=True):
        return None
    sentence = f"{requirement.name} {installed} is installed; Prosa needs {requirement.specifier}."
    return warning(Group.CONFIGURED, sentence, remedy)
