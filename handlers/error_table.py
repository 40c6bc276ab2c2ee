"""
What Twilio's errors mean for a part of a reply. Pure.

Codes: https://www.twilio.com/docs/api/errors; 131056 is WhatsApp's own pair rate limit.
"""

from dataclasses import dataclass
from enum import StrEnum

from streams.events import Rejection


class Outcome(StrEnum):
    RETRY = "retry"
    """It surely was not sent, for a reason that passes: try again after a pause."""
    THROTTLED = "throttled"
    """It surely was not sent, since the sender or the pair writes too fast: try again after a longer pause, in order."""
    AMBIGUOUS = "ambiguous"
    """It may have been sent: settle before any resend."""
    REJECTED = "rejected"
    """It was not sent and will not be; the verdict's `rejection` says why."""
    FATAL = "fatal"
    """Nothing can be sent at all: stop the group."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`rejection` stands where the outcome is REJECTED, and nowhere else."""

    outcome: Outcome
    rejection: Rejection | None = None


RETRY = Verdict(Outcome.RETRY)
THROTTLED = Verdict(Outcome.THROTTLED)
AMBIGUOUS = Verdict(Outcome.AMBIGUOUS)
FATAL = Verdict(Outcome.FATAL)

UNAUTHENTICATED = 20003

_PASSING_CODES = frozenset({20429, 63009, 63010, 63012})
"""Too many requests, and errors of the channel."""

_THROTTLING_CODES = frozenset({21611, 30001, 63017, 63018, 131056})

_REJECTIONS = {
    Rejection.WINDOW_CLOSED: (63016,),
    Rejection.UNREACHABLE: (21211, 21614, 63003, 63014, 63024, 63032, 63033),
    Rejection.OPTED_OUT: (21610,),
    Rejection.LIMIT: (63013, 63026, 63038, 63049),
    Rejection.CONFIGURATION: (
        *(UNAUTHENTICATED, 20404, 21604, 21617, 21620, 21655, 21656),
        *(63007, 63015, 63019, 63020, 63021, 63027, 63028, 63040, 63041),
    ),
}

_VERDICTS = (
    dict.fromkeys(_PASSING_CODES, RETRY)
    | dict.fromkeys(_THROTTLING_CODES, THROTTLED)
    | {code: Verdict(Outcome.REJECTED, reason) for reason, codes in _REJECTIONS.items() for code in codes}
)

KNOWN_CODES = frozenset(_VERDICTS)

_UNKNOWN = Verdict(Outcome.REJECTED, Rejection.UNKNOWN)
_MISCONFIGURED = Verdict(Outcome.REJECTED, Rejection.CONFIGURATION)


def classify_response(status: int, code: int | None) -> Verdict:
    """What an answer to a create call means that did not accept the message; `status` is HTTP's, `code` is Twilio's own."""
    if status < 400 or status >= 500:
        return AMBIGUOUS
    if status == 401 or code == UNAUTHENTICATED:
        return FATAL
    if code in _VERDICTS:
        return _VERDICTS[code]
    if status in (408, 425, 429):
        return RETRY
    return _MISCONFIGURED if status in (403, 404, 405) else _UNKNOWN


def classify_callback(code: int | None) -> Verdict:
    """
    What the error code of a failed or undelivered message means, told by callback after Twilio had accepted it.

    Never AMBIGUOUS, since the callback itself says that it was not delivered, and never FATAL.
    """
    return _VERDICTS.get(code, _UNKNOWN) if code is not None else _UNKNOWN
