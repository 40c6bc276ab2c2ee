"""What a look at the system comes to."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Severity(IntEnum):
    """How bad it is; the worst one is the exit code of `prosa doctor`."""

    OK = 0
    WARNING = 1
    ERROR = 2


class Group(StrEnum):
    """Which question a finding answers."""

    CONFIGURED = "configured"
    REACHABLE = "reachable"
    SAFE = "safe"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and what to do about it: a command, or a setting to set. Never a secret, nor an address with a password."""

    group: Group
    severity: Severity
    sentence: str
    remedy: str = ""


def well(group: Group, sentence: str) -> Finding:
    return Finding(group, Severity.OK, sentence)


def warning(group: Group, sentence: str, remedy: str) -> Finding:
    return Finding(group, Severity.WARNING, sentence, remedy)


def error(group: Group, sentence: str, remedy: str) -> Finding:
    return Finding(group, Severity.ERROR, sentence, remedy)


def parted(told: str, otherwise: str = "") -> tuple[str, str]:
    """What an error tells, as the sentence and the remedy of a finding: the remedy stands behind the first semicolon, if any."""
    sentence, _, remedy = told.partition("; ")
    return f"{sentence[:1].upper()}{sentence[1:]}.", remedy or otherwise


def worst(findings: Iterable[Finding]) -> Severity:
    return max((finding.severity for finding in findings), default=Severity.OK)
