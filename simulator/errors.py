"""The errors Twilio answers with, each with its code. Source: https://www.twilio.com/docs/api/errors"""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


class RestError(Exception):
    """What Twilio answers instead of a resource. It names a code, never a number or a text."""

    def __init__(self, status: int, code: int, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.headers = dict(headers or {})
        self.status = status
        self.code = code
        self.message = message

    def resource(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }


def unauthenticated() -> RestError:
    return RestError(401, 20003, "Authenticate", headers={"WWW-Authenticate": 'Basic realm="Twilio API"'})


def not_found(path: str) -> RestError:
    return RestError(404, 20404, f"The requested resource {path} was not found")


def too_many_requests(retry_after_seconds: int | None = None) -> RestError:
    headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    return RestError(429, 20429, "Too Many Requests", headers=headers)


def internal_error() -> RestError:
    return RestError(500, 20500, "Internal Server Error")


def incomplete() -> RestError:
    return RestError(409, 20009, "Cannot change or delete this resource before it is complete")


def invalid_parameter(name: str) -> RestError:
    return RestError(400, 20001, f"Parameter '{name}' is not valid")


def not_simulated(name: str) -> RestError:
    """Better a loud refusal than a message that goes out at once although it was scheduled."""
    return RestError(501, 20501, f"The stand-in does not simulate '{name}'")


def http_error(request: Request, error: HTTPException) -> JSONResponse:
    """A path or method that is not simulated answers as Twilio does."""
    if error.status_code == 404:
        return JSONResponse(not_found(request.url.path).resource(), 404)
    code = {405: 20004, 403: 20403}.get(error.status_code, error.status_code)
    return JSONResponse(RestError(error.status_code, code, error.detail).resource(), error.status_code, error.headers)


FAILURES = {
    63003: "Channel could not find To address",
    63010: "Channels - Twilio Internal error",
    63013: "Channel policy violation",
    63014: "Message delivery failed because it was blocked by a user action",
    63015: "Channel Sandbox can only send messages to phone numbers that have joined the Sandbox",
    63016: "Failed to send freeform message because you are outside the allowed window",
    63018: "Rate limit exceeded for Channel",
    63024: "Invalid message recipient",
    63038: "Account exceeded the daily messages limit",
    63049: "Meta chose not to deliver this WhatsApp marketing message",
}
"""Codes that arrive later, by callback, with the sentence that goes with them."""


def failure_message(code: int) -> str:
    return FAILURES.get(code, "Message could not be delivered")
