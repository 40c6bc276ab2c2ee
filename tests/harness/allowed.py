"""What may become of a message, and how much of that a run may show."""

from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """What became of a message of a contact."""

    ANSWERED = "answered"
    DEAD_LETTERED = "dead-lettered"
    UNCONFIRMED = "unconfirmed"
    LEFT_TO_A_PERSON = "left to a person"
    CLOSED = "closed by the contact"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a run may show besides answers. Whatever else is found is a violation."""

    fates: frozenset[Fate] = frozenset({Fate.ANSWERED})
    lost_statuses: bool = False
    """Callbacks may be lost: the read model may know less of a message's way than Twilio does."""
    skipped_events: bool = False
    lost_tail: bool = False
    """
    The log may have lost what it had acknowledged, and been repaired. All messages of contacts must be there in the end, and
    answered, and nothing is sent twice. Only: one that the reconciler had to bring back may stand later in the log than others
    that were written after it, and is answered in its place there.
    """
    quotes: bool = True
    """Whether each reply quotes what it answers."""
    failure_sentences: bool = False
    """Contacts may be told that nobody can answer now: a message of ours that answers nothing."""
    fetches: bool = False
    """Whether what Twilio lists and no webhook brought must be there in the end, and be answered."""


STRICT = Allowed()
HARSH = Allowed(fates=frozenset({Fate.ANSWERED, Fate.UNCONFIRMED}), lost_statuses=True)
"""Where callbacks were lost, nobody may be able to tell what came of a send."""
LOST_TAIL = Allowed(lost_statuses=True, lost_tail=True)
"""What a failover to a replica that lagged may cost, or a cut file: see docs/reliability.md, what is not promised."""
