"""
How Twilio connects to a webhook, and how the fragment of its url overrides that.

Source: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urldefrag

RETRIABLE = frozenset({"4xx", "5xx", "ct", "rt"})


@dataclass(frozen=True, slots=True)
class ConnectionRules:
    """total_seconds holds for all attempts together. By default only a failure to connect is tried again, once."""

    connect_seconds: float = 5.0
    read_seconds: float = 15.0
    total_seconds: float = 15.0
    retries: int = 1
    retried: frozenset[str] = frozenset({"ct"})


def connection_rules(url: str) -> ConnectionRules:
    """What is out of range or not understood leaves the default in place. Times in the fragment are milliseconds."""
    override = dict(parse_qsl(urldefrag(url).fragment))
    default = ConnectionRules()
    return ConnectionRules(
        connect_seconds=_milliseconds(override, "ct", 100, 10_000, default.connect_seconds),
        read_seconds=_milliseconds(override, "rt", 100, 15_000, default.read_seconds),
        total_seconds=_milliseconds(override, "tt", 1, 15_000, default.total_seconds),
        retries=int(_number(override, "rc", 0, 5, default.retries)),
        retried=_policy(override.get("rp")) or default.retried,
    )


def _milliseconds(override: Mapping[str, str], name: str, low: int, high: int, default: float) -> float:
    return _number(override, name, low, high, default * 1000) / 1000


def _number(override: Mapping[str, str], name: str, low: int, high: int, default: float) -> float:
    text = override.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and low <= int(text) <= high else default


def _policy(text: str | None) -> frozenset[str]:
    words = frozenset((text or "").split(","))
    return RETRIABLE if "all" in words else words & RETRIABLE
