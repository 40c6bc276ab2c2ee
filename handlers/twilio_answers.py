"""What Twilio's answers mean to the caller. Pure."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeAlias

from streams.errors import FatalError, PermanentError, TransientError

DENIED = "Twilio refuses the credentials: check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
"""What an operator is told."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Twilio took the message and named it."""

    sid: str
    status: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Twilio answered 4xx: the message was not sent. `code` is Twilio's, where it told one."""

    status: int
    code: int | None


@dataclass(frozen=True, slots=True)
class TooManyRequests:
    """Twilio answered 429: the message was not sent."""

    code: int | None
    retry_after_seconds: float | None


@dataclass(frozen=True, slots=True)
class NeverConnected:
    """No connection stood before the failure, so that nothing was sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request may have reached Twilio, and nothing tells whether it took the message: settle before any resend."""

    reason: str


SendResult: TypeAlias = Accepted | Refused | TooManyRequests | NeverConnected | Unknown


@dataclass(frozen=True, slots=True)
class ListedMessage:
    """A message as Twilio lists it. `created_at_ms` is Twilio's clock, in whole seconds."""

    sid: str
    body: str
    created_at_ms: int
    status: str
    direction: str
    error_code: int | None


class TwilioUnavailable(TransientError):
    """Twilio gave no complete answer, or not now."""


class CircularList(TwilioUnavailable):
    """A list leads back to a page of itself, so that what lies behind it cannot be read."""


class TwilioRefused(PermanentError):
    """Twilio refused the request."""


class TwilioForbidden(TwilioRefused):
    """Twilio refuses this account every request of the kind: what was asked for is not to blame, and an operator must mend it."""


class TwilioDenied(FatalError):
    """Twilio refused the credentials: TWILIO_ACCOUNT_SID or TWILIO_AUTH_TOKEN is wrong."""


@dataclass(slots=True)
class Call:
    """How far one request came: whether a connection stood, then the answer's status, then its body, and what ended it early."""

    is_connected: bool = False
    status: int | None = None
    retry_after: str | None = None
    body: bytes = b""
    error: str | None = None

    def json(self) -> dict[str, Any] | None:
        """The answer, if it came whole and is a JSON object."""
        if self.error:
            return None
        try:
            answer = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return answer if isinstance(answer, dict) else None

    @property
    def code(self) -> int | None:
        """Twilio's own error code."""
        code = (self.json() or {}).get("code")
        return code if isinstance(code, int) else None


def send_result(call: Call) -> SendResult:
    """What a create call came to. A status line is proof by itself, even where the rest of the answer is missing."""
    if call.status is None:
        reason = call.error or "no answer"
        return Unknown(reason) if call.is_connected else NeverConnected(reason)
    if call.status == HTTPStatus.TOO_MANY_REQUESTS:
        return TooManyRequests(call.code, seconds_to_wait(call.retry_after))
    if 400 <= call.status < 500:
        return Refused(call.status, call.code)
    answer = call.json() or {}
    sid, status = answer.get("sid"), answer.get("status")
    if 200 <= call.status < 300 and isinstance(sid, str) and sid:
        return Accepted(sid, status if isinstance(status, str) else "queued")
    return Unknown(call.error or (f"status {call.status}" if call.status >= 300 else "garbled"))


def read_result(call: Call) -> dict[str, Any] | None:
    """The resource that was asked for, or None where there is none. Raises what the answer means otherwise."""
    match call.status:
        case HTTPStatus.UNAUTHORIZED:
            raise TwilioDenied(f"read: status 401, code {call.code}")
        case HTTPStatus.NOT_FOUND:
            return None
        case HTTPStatus.FORBIDDEN | HTTPStatus.METHOD_NOT_ALLOWED:
            raise TwilioForbidden(f"read: status {call.status}, code {call.code}")
        case int(status) if 400 <= status < 500 and status not in (408, 425, 429):
            raise TwilioRefused(f"read: status {status}, code {call.code}")
    answer = call.json()
    if call.status != HTTPStatus.OK or answer is None:
        raise TwilioUnavailable(f"read: status {call.status}, {call.error or 'unusable'}")
    return answer


def entries_of(page: dict[str, Any], name: str) -> list[Any]:
    """What one page of a list holds. Raises `TwilioUnavailable` where it is no such page."""
    entries = page.get(name)
    if not isinstance(entries, list):
        raise TwilioUnavailable(f"list: no {name} in the page")
    return entries


def listed(message: Any) -> ListedMessage:
    """One message resource. Raises `TwilioUnavailable` where it is not one."""
    try:
        return ListedMessage(
            sid=str(message["sid"]),
            body=str(message["body"] or ""),
            created_at_ms=int(parsedate_to_datetime(message["date_created"]).timestamp() * 1000),
            status=str(message["status"]),
            direction=str(message["direction"]),
            error_code=message.get("error_code"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TwilioUnavailable(f"message: {type(error).__name__}") from None


def seconds_to_wait(retry_after: str | None) -> float | None:
    """What the Retry-After header says, in seconds or as a date; None where it says nothing usable."""
    if retry_after is None:
        return None
    if retry_after.strip().isascii() and retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
