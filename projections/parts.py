"""Finding and replacing the parts of a reply, and their attempts."""

from dataclasses import replace

from projections.state import Attempt, Outcome, Part, Reply


def part_of(reply: Reply | None, index: int) -> Part | None:
    return reply.parts[index] if reply and 0 <= index < len(reply.parts) else None


def attempt_of(part: Part, attempt_id: str) -> Attempt | None:
    return next((attempt for attempt in part.attempts if attempt.id == attempt_id), None)


def proven_attempt(part: Part) -> Attempt | None:
    """One that reached Twilio, even if its absence was believed before; but not one whose failure has been judged."""
    for attempt in part.attempts:
        has_been_judged = attempt.failed_code is not None and attempt.outcome in _UNSENT
        if attempt.proof_sid and not has_been_judged:
            return attempt
    return None


def with_part(reply: Reply, index: int, part: Part) -> Reply:
    return replace(reply, parts=(*reply.parts[:index], part, *reply.parts[index + 1 :]))


def with_attempt(part: Part, attempt: Attempt) -> Part:
    return replace(part, attempts=tuple(attempt if each.id == attempt.id else each for each in part.attempts))


def with_outcome(part: Part, attempt_id: str, outcome: Outcome) -> Part:
    attempt = attempt_of(part, attempt_id)
    return with_attempt(part, replace(attempt, outcome=outcome)) if attempt else part


_UNSENT = frozenset({Outcome.DISPROVED, Outcome.REJECTED})
