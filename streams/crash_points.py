"""
Named places between two steps that a crash must not tear apart.

Passing one does nothing: no setting and no variable arms them, only a test that puts something in place of `on_reached` in its
own process. What it puts there may end the process, pause it or raise; it is told the name.
"""

from collections.abc import Callable, Mapping

POINTS: Mapping[str, str] = {
    "webhook.verified": "a form is signed and read, nothing is appended",
    "webhook.appended": "it stands in the log, Twilio has no answer",
    "log.gathering": "entries of a stray generation are moved to the newest in part, the record does not name it yet",
    "projector.read": "a batch is read, nothing is loaded",
    "projector.folded": "a batch is folded, nothing is written",
    "projector.written": "rows are written, the checkpoints not yet moved",
    "projector.moved": "the checkpoints are moved, nothing is committed",
    "projector.committed": "the transaction is committed, nobody was told",
    "group.joined": "a group has read its mark and begins to read",
    "group.delivered": "an event is about to be handled",
    "group.handled": "an event was handled, its mark has not moved",
    "group.committing": "marks are about to be committed",
    "group.committed": "marks are committed",
    "outcome.decided": "what is to be appended is decided",
    "outcome.appended": "it is appended, nobody has seen it folded",
    "outcome.folded": "it is folded, the handler goes on",
    "responder.asking": "the model is about to be asked",
    "responder.asked": "the model has answered, nothing is recorded",
    "sender.calling": "an attempt is granted, Twilio is about to be called",
    "sender.called": "Twilio has answered, nothing is recorded",
    "sender.listing": "Twilio is about to be asked what it has",
    "sender.listed": "Twilio has listed, nothing is recorded",
    "lease.claimed": "partitions are claimed, nobody was told",
    "lease.renewed": "leases are renewed",
    "lease.releasing": "a partition is drained, its lease about to be released",
    "reconciler.compared": "Twilio's list is compared with the log, nothing is appended",
    "reconciler.appending": "a message that was missed is about to be appended",
    "reconciler.appended": "it is appended, others may follow",
    "repair.claimed": "a repair holds every lease, nothing is written",
    "repair.writing": "a new generation of the log is written in part",
    "repair.written": "it is written, nobody uses it",
    "repair.switching": "it is about to become the current one",
    "repair.switched": "it is the current one, the checkpoints are of the one before",
    "repair.finished": "the checkpoints are moved, the leases not yet released",
    "clock.ticking": "a tick is about to be appended to a partition",
    "clock.ticked": "a tick is appended to a partition",
}
"""Every point and what has happened there."""


def _nothing(_: str) -> None:
    pass


on_reached: Callable[[str], None] = _nothing


def reached(point: str) -> None:
    """The work has come to this point."""
    on_reached(point)
