"""A read model by hand: one conversation for each contact, and a clock that somebody moves."""

import asyncio
import time
from dataclasses import dataclass, field, replace

from simulator.phone.beside import Act, Beside, BesideTrouble, ConversationView, Deadline, Step

IDLE_MS = 15 * 60_000
EXPIRY_MS = 24 * 3_600_000
AFTER: dict[str, tuple[str, tuple[str, ...]]] = {
    "take over": ("handoff", ("release", "answer", "close")),
    "release": ("active", ("take over", "answer", "close")),
    "close": ("closed", ()),
}
"""What a person's act makes of a conversation."""


@dataclass
class FakeSystem:
    """`trouble` is what every question is answered with, until it is taken away; stuck, it answers nothing at all."""

    conversations: dict[str, ConversationView] = field(default_factory=dict)
    ahead_ms: int = 0
    trouble: str = ""
    said: list[tuple[str, str, str]] = field(default_factory=list)
    looks: int = 0
    is_stuck: bool = False

    @property
    def beside(self) -> Beside:
        acts = {name: self._act(name) for name in ("take over", "answer", "release", "close")}
        return Beside(self._conversation, self._clock_ahead_ms, self._advance, acts)

    @property
    def now_ms(self) -> int:
        return int(time.time() * 1000) + self.ahead_ms

    def open(self, contact: str, *steps: Step, status: str = "active") -> None:
        """From now on the contact has a conversation of this status, with its deadlines."""
        now = self.now_ms
        deadlines = (Deadline("idle", now + IDLE_MS, now), Deadline("expires", now + EXPIRY_MS, now))
        self.conversations[contact] = ConversationView(status, "", now, deadlines, steps, ("take over", "close"))

    async def _conversation(self, contact: str) -> ConversationView | None:
        self.looks += 1
        if self.is_stuck:
            await asyncio.Event().wait()
        if self.trouble:
            raise BesideTrouble(self.trouble)
        view = self.conversations.get(contact)
        return None if view is None else replace(view, now_ms=self.now_ms)

    async def _clock_ahead_ms(self) -> int:
        if self.trouble:
            raise BesideTrouble(self.trouble)
        return self.ahead_ms

    async def _advance(self, minutes: int) -> None:
        if self.trouble:
            raise BesideTrouble(self.trouble)
        self.ahead_ms += minutes * 60_000
        for contact, view in self.conversations.items():
            status = next((each for each, at in self._ends(view) if self.now_ms >= at), view.status)
            if status != view.status:
                step = Step(f"{len(view.steps)}", "silence", self.now_ms, (f"status {view.status} → {status}",))
                left = tuple(each for each in view.deadlines if each.at_ms > self.now_ms)
                self.conversations[contact] = replace(view, status=status, deadlines=left, steps=(*view.steps, step))

    def _ends(self, view: ConversationView) -> list[tuple[str, int]]:
        words = {"expires": "expired", "idle": "idle"}
        return sorted(((words[each.what], each.at_ms) for each in view.deadlines), key=lambda end: -end[1])

    def _act(self, name: str) -> Act:
        async def act(contact: str, text: str) -> None:
            if self.trouble:
                raise BesideTrouble(self.trouble)
            self.said.append((name, contact, text))
            if contact in self.conversations and name in AFTER:
                status, acts = AFTER[name]
                self.conversations[contact] = replace(self.conversations[contact], status=status, acts=acts)

        return act
