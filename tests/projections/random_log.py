"""Logs that look like a busy day: bursts, duplicates, lost order, silence, poison; the same seed gives the same log."""

import random
from collections.abc import Callable, Sequence

from streams.events import (
    AnyEventData,
    ClockAdvanced,
    ConversationClosed,
    ConversationReleased,
    ConversationTaken,
    DeadLetterDiscarded,
    EventDeadLettered,
    MessageReceived,
    MessageSent,
    MessageStatusChanged,
    PersonReplied,
    PolicyChanged,
    RedriveRequested,
    ReplyFailed,
    ReplyGenerated,
    SendDisproved,
    SendRejected,
    SendStarted,
    SendUnconfirmed,
)
from tests.projections.read_model import HOUR_MS, MINUTE_MS, PARTITIONS, Log, thread_in

THREADS = tuple(thread_in(partition, number) for partition in range(PARTITIONS) for number in range(3))
_STATUSES = ("queued", "sent", "delivered", "read", "failed", "undelivered")
_SILENCES_MS = (1000, MINUTE_MS, 16 * MINUTE_MS, 13 * HOUR_MS, 25 * HOUR_MS, 49 * HOUR_MS)


def random_log(seed: int, *, steps: int = 60) -> Log:
    """A log of about as many entries as steps."""
    return _Day(random.Random(seed)).lived(steps)  # noqa: S311 - a test's own dice


class _Day:
    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._log = Log()
        self._asked: dict[str, list[str]] = {}
        self._replies: dict[str, list[tuple[str, str]]] = {}

    def lived(self, steps: int) -> Log:
        for step in range(steps):
            self._step(step)
        return self._log

    def _step(self, step: int) -> None:
        acts: Sequence[tuple[int, Callable[[int], None]]] = (
            (30, self._talk),
            (30, self._answer),
            (8, self._silence),
            (6, self._repeat),
            (4, self._poison),
            (4, self._steer),
        )
        act = self._dice.choices([act for _, act in acts], [weight for weight, _ in acts])[0]
        act(step)

    def _talk(self, step: int) -> None:
        thread = self._dice.choice(THREADS)
        sid = f"SM{self._dice.randrange(step + 1) if self._dice.random() < 0.2 else step}-{thread[-3:]}"
        body = self._dice.choice(("Olá", "bye", "and then?"))
        self._asked.setdefault(thread, []).append(
            self._log.add(MessageReceived(sid=sid, kind="text", body=body, form={"Body": (body,)}), thread)
        )

    def _answer(self, step: int) -> None:
        thread = self._dice.choice(THREADS)
        asked, replies = self._asked.get(thread), self._replies.setdefault(thread, [])
        if not replies or (asked and self._dice.random() < 0.3):
            self._reply(step, thread, asked or ["nothing"])
            return
        reply, event = self._dice.choice(replies)
        attempt = f"{reply}-{self._dice.randrange(2)}"
        sid = f"SO-{attempt}"
        outcome: AnyEventData = self._dice.choice(
            (
                SendStarted(reply=reply, part=0, attempt=attempt),
                SendStarted(reply=reply, part=0, attempt=attempt),
                MessageSent(reply=reply, part=0, attempt=attempt, sid=sid),
                MessageStatusChanged(sid=sid, status=self._dice.choice(_STATUSES), attempt=attempt),
                MessageStatusChanged(sid=sid, status=self._dice.choice(_STATUSES), error_code=self._dice.choice((None, 63016))),
                SendDisproved(reply=reply, part=0, attempt=attempt),
                SendUnconfirmed(reply=reply, part=0, attempt=attempt),
                SendRejected(reply=reply, part=0, attempt=attempt, code=63016),
                EventDeadLettered(event=event, group="sender", attempts=3, error="E", fingerprint="f"),
                RedriveRequested(event=event, group="sender", by="ana"),
                DeadLetterDiscarded(event=event, group="sender", by="ana"),
            )
        )
        self._log.add(outcome, thread)

    def _reply(self, step: int, thread: str, asked: list[str]) -> None:
        reply, last = f"reply-{step}", asked[-1]
        first = self._dice.choice(asked)
        said: AnyEventData = self._dice.choice(
            (
                ReplyGenerated(
                    reply=reply, first_event=first, last_event=last, parts=("Hello.",), final=self._dice.random() < 0.5
                ),
                ReplyGenerated(reply=reply, first_event=first, last_event=last, parts=("Bye.",), closes=True),
                ReplyFailed(
                    reply=reply, first_event=first, last_event=last, error="E", attempts=3, fingerprint="f", sentence="Sorry."
                ),
                PersonReplied(reply=reply, parts=("I am a person.",), by="ana"),
            )
        )
        self._replies[thread].append((reply, self._log.add(said, thread)))

    def _silence(self, _: int) -> None:
        self._log.wait(self._dice.choice(_SILENCES_MS))
        for partition in range(PARTITIONS):
            if self._dice.random() < 0.7:
                self._log.tick(partition)

    def _repeat(self, _: int) -> None:
        """The engine holds an entry twice: an append was retried."""
        if self._log.records:
            record = self._dice.choice(self._log.records)
            self._log.add_bytes(record.value, record.partition)

    def _poison(self, _: int) -> None:
        self._log.add_bytes(self._dice.choice((b"", b"{", b"\xff\xfe", b'{"type":"other"}')), self._dice.randrange(PARTITIONS))

    def _steer(self, _: int) -> None:
        thread, partition = self._dice.choice(THREADS), self._dice.randrange(PARTITIONS)
        act = self._dice.randrange(5)
        if act == 0:
            self._log.add_to_partition(
                PolicyChanged(idle_after_minutes=self._dice.choice((1, 30)), close_words=("bye",)), partition
            )
        elif act == 1:
            self._log.add_to_partition(ClockAdvanced(offset_ms=self._dice.choice(_SILENCES_MS)), partition)
        else:
            self._log.add(
                (ConversationTaken(by="ana"), ConversationReleased(by="ana"), ConversationClosed(by="ana"))[act - 2], thread
            )
