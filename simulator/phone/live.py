"""What is on the page, and whatever of it changes: fragments, rendered here, for one browser."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from simulator.addresses import is_contact
from simulator.ledger import Kind
from simulator.phone.beside import Beside, BesideTrouble
from simulator.phone.chats import Chats
from simulator.phone.contacts import MOST, Contact, makes_room, on_page, page_address
from simulator.phone.desk import Desk
from simulator.phone.rendering import rendered
from simulator.phone.switches import shown_switches

GATHER_SECONDS = 0.04
"""What changes within so short a time goes out together."""
LOOK_SECONDS = 1.0
"""Between two looks at what stands beside the phones, while nothing happens: countdowns go by the second."""
BUSY_LOOK_SECONDS = 0.25
BUSY_SECONDS = 4.0
"""For so long after something happened the looks are closer together."""
KEEP_ALIVE_SECONDS = 15.0
MOST_WAITING = 64


def fragment(target: str, html: str, *, is_whole: bool = True) -> str:
    """An event that puts `html` into the element `target`: all of its content, or the items that are new or changed."""
    return f"data: {json.dumps({'target': target, 'html': html, 'whole': is_whole})}\n\n"


@dataclass(slots=True)
class Live:
    """One open page. `put` takes what is to be sent; it waits where the browser does not read."""

    desk: Desk
    contacts: Sequence[Contact]
    _outgoing: "asyncio.Queue[str]" = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))
    _shown: dict[str, str] = field(default_factory=dict)
    _busy_until: float = 0.0

    async def events(self) -> AsyncIterator[str]:
        """Everything once, and then what changes, until nobody listens any more or the process ends."""
        work = [self._leave(), self._follow_ledger()]
        if self.desk.beside is not None:
            work += [self._follow_clock(self.desk.beside)]
            work += [self._follow_conversation(self.desk.beside, contact) for contact in self.contacts]
        tasks = [asyncio.create_task(each) for each in work]
        for task in tasks:
            task.add_done_callback(self._wake)
        try:
            yield "retry: 1000\n\n"
            while not any(task.done() for task in tasks):
                yield await self._next()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _next(self) -> str:
        try:
            async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                return await self._outgoing.get()
        except TimeoutError:
            return ": still here\n\n"

    def _wake(self, _: "asyncio.Task[None]") -> None:
        """Whoever ends ends the page's stream: the process stops, or something failed. The browser will ask again."""
        if not self._outgoing.full():
            self._outgoing.put_nowait("")

    async def _leave(self) -> None:
        await self.desk.leaving.wait()

    async def _follow_ledger(self) -> None:
        ledger = self.desk.simulation.account.ledger
        chats, seen = Chats(contact.address for contact in self.contacts), 0
        is_first = True
        while True:
            for entry in ledger.entries(seen):
                chats.apply(entry)
                if entry.kind is Kind.FAULTS_CHANGED:
                    # The browser that turned the switch shows it turned, though it may have been used up since.
                    self._shown.pop("switches-list", None)
            seen = len(ledger)
            for contact in self.contacts:
                chat = chats.chats[contact.address]
                changed = chat.take_changed()
                if changed or is_first:
                    html = rendered("bubbles.html", bubbles=changed, contact=contact)
                    await self._outgoing.put(fragment(f"chat-{contact.key}", html, is_whole=is_first))
                is_typing = chat.typing_until > time.time()
                await self._show(f"typing-{contact.key}", rendered("typing.html", is_typing=is_typing))
                receipts = rendered("receipts.html", contact=contact, has_read_receipts=chat.has_read_receipts)
                await self._show(f"receipts-{contact.key}", receipts)
            await self._show("switches-list", switches_html(self.desk))
            await self._show("others", others_html(self.desk, self.contacts))
            is_first = False
            await self._changed(seen, typing_until=max((chat.typing_until for chat in chats.chats.values()), default=0.0))

    async def _changed(self, seen: int, *, typing_until: float) -> None:
        """Return when the ledger has something new, or typing dots are to go."""
        ledger = self.desk.simulation.account.ledger
        if len(ledger) == seen:
            left = typing_until - time.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(left + 0.01 if left > 0 else None):
                    await ledger.changed()
        self._busy_until = time.monotonic() + BUSY_SECONDS
        await asyncio.sleep(GATHER_SECONDS)

    async def _follow_conversation(self, beside: Beside, contact: Contact) -> None:
        while True:
            try:
                view = await beside.conversation(contact.address)
                html = rendered("conversation.html", view=view, contact=contact)
            except BesideTrouble as trouble:
                html = rendered("trouble.html", trouble=str(trouble))
            else:
                await self._show(f"glance-{contact.key}", rendered("glance.html", view=view))
                await self._show(f"acts-{contact.key}", rendered("acts.html", view=view, contact=contact, known=beside.acts))
            await self._show(f"beside-{contact.key}", html)
            await self._until_next_look()

    async def _follow_clock(self, beside: Beside) -> None:
        ahead_ms: int | None = None
        while True:
            try:
                ahead_ms = await beside.clock_ahead_ms()
                html = clock_html(ahead_ms)
            except BesideTrouble as trouble:
                html = clock_html(ahead_ms, trouble=str(trouble))
            await self._show("clock-now", html)
            await self._until_next_look()

    async def _until_next_look(self) -> None:
        await asyncio.sleep(BUSY_LOOK_SECONDS)
        if time.monotonic() > self._busy_until:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS - BUSY_LOOK_SECONDS):
                    await self.desk.simulation.account.ledger.changed()

    async def _show(self, target: str, html: str) -> None:
        if self._shown.get(target) != html:
            self._shown[target] = html
            await self._outgoing.put(fragment(target, html))


def clock_html(ahead_ms: int | None, *, trouble: str = "") -> str:
    """The world's time and the last known offset; in trouble nobody knows whether that one still holds, and it says so."""
    return rendered("clock.html", now=time.time(), ahead_ms=ahead_ms, trouble=trouble)


def switches_html(desk: Desk) -> str:
    return rendered("switches.html", **shown_switches(desk.board))


def others_html(desk: Desk, contacts: Sequence[Contact]) -> str:
    """Whoever writes and is not on the page, as links that add them: those that wrote last, and how many there are beside."""
    shown = {contact.address for contact in contacts}
    writers = desk.simulation.account.phones.last_writers_first()
    others = [address for address in writers if address not in shown and is_contact(address)]
    links = [(each, page_address([*contacts, each])) for each in on_page(others[:MOST], []) if others]
    return rendered("others.html", links=links, more=len(others) - len(links), makes_room=makes_room(contacts))
