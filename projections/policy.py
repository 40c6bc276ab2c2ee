"""The rules that the fold obeys, as the log's last `policy.changed` gave them."""

import unicodedata
from dataclasses import dataclass

from streams.events import AfterHandoff, PolicyChanged

MINUTE_MS = 60_000

WINDOW_MS = 24 * 60 * MINUTE_MS
"""WhatsApp lets a business write freely for 24 hours after the contact's last message."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Durations in milliseconds of log time. The defaults hold until a partition's first `policy.changed`."""

    idle_after_ms: int = 15 * MINUTE_MS
    expire_after_ms: int = 24 * 60 * MINUTE_MS
    expire_pending_after_ms: int = 48 * 60 * MINUTE_MS
    handoff_expires_after_ms: int = 12 * 60 * MINUTE_MS
    after_handoff: AfterHandoff = AfterHandoff.ACTIVE
    close_words: tuple[str, ...] = ()


def policy_of(event: PolicyChanged) -> Policy:
    """Read a policy from its event."""
    return Policy(
        idle_after_ms=_ms(event.idle_after_minutes),
        expire_after_ms=_ms(event.expire_after_minutes),
        expire_pending_after_ms=_ms(event.expire_pending_after_minutes),
        handoff_expires_after_ms=_ms(event.handoff_expires_after_minutes),
        after_handoff=event.after_handoff,
        close_words=tuple(sorted({_plain(word) for word in event.close_words} - {""})),
    )


def closes(policy: Policy, body: str) -> bool:
    """Whether a contact's whole message is a close word, whatever its case, accents' encoding and final punctuation."""
    return _plain(body) in policy.close_words


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip().rstrip(".!?…").rstrip()


def _ms(minutes: float) -> int:
    return round(minutes * MINUTE_MS)
