"""The page's addresses: itself, what keeps it up to date, and what its buttons do."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

from simulator.access import require_control
from simulator.ledger import Kind
from simulator.phone.beside import Beside, BesideTrouble
from simulator.phone.contacts import Contact, makes_room, next_address, on_page, page_address, without
from simulator.phone.desk import Desk
from simulator.phone.guard import PAGE_HEADERS, require_this_page
from simulator.phone.live import Live
from simulator.phone.rendering import STATIC, length, rendered
from simulator.phone.stream import PageStream
from simulator.phone.switches import SWITCHES, shown_switches, switched
from simulator.phone.writing import Pressed, messages_of
from simulator.request_model import RequestModel

DONE = 204
JUMPS = {"20 minutes later": 20, "25 hours later": 25 * 60}
"""Past the idle timeout and past the expiry timeout, as they are by default."""


def desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(desk_of)]

looks = APIRouter(dependencies=[Depends(require_control)], include_in_schema=False)
acts = APIRouter(
    prefix="/phone",
    dependencies=[Depends(require_control), Depends(require_this_page)],
    include_in_schema=False,
)


def mount(app: FastAPI) -> None:
    """Put the page at `/` of the stand-in's application, whose state has a `desk` while it runs."""
    app.include_router(looks)
    app.include_router(acts)
    app.mount("/phone/static", _Static(directory=STATIC))


class _Static(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update({**PAGE_HEADERS, "Cache-Control": "no-cache"})
        return response


Asked = Annotated[list[str], Query(default_factory=list)]


def contacts_of(contact: Asked, name: Asked) -> list[Contact]:
    return on_page(contact, name)


@looks.get("/")
async def show_page(desk: AtDesk, contacts: Annotated[list[Contact], Depends(contacts_of)]) -> HTMLResponse:
    html = rendered(
        "page.html",
        contacts=contacts,
        removals={each.address: page_address(without(contacts, each)) for each in contacts},
        live=page_address(contacts).replace("/", "/phone/live", 1),
        suggested=next_address(contacts),
        makes_room=makes_room(contacts),
        beside=desk.beside,
        jumps=JUMPS,
        sender=desk.simulation.settings.sender,
        now=time.time(),
        ahead_ms=0,
        **shown_switches(desk.board),
    )
    return HTMLResponse(html.encode("utf-8", "replace"), headers=PAGE_HEADERS)


@looks.get("/phone/live")
async def follow(desk: AtDesk, contacts: Annotated[list[Contact], Depends(contacts_of)]) -> PageStream:
    return PageStream(desk, Live(desk, contacts).events())


@acts.post("/messages", status_code=DONE)
async def write(pressed: Pressed, request: Request, desk: AtDesk) -> None:
    """The messages go out one after the other; it returns when the webhook has answered the last one, or has not."""
    try:
        messages = messages_of(pressed, seed=desk.next_seed())
    except ValueError:
        raise HTTPException(422, "no contact has this address") from None
    for message in messages:
        await desk.simulation.injection.write(message, str(request.base_url).rstrip("/"))


class SwitchTurned(RequestModel):
    """`to` is the position's number in its list; nothing turns it off."""

    name: str
    to: Annotated[int, Field(ge=0)] | None


@acts.post("/switches", status_code=DONE)
async def turn_switch(turned: SwitchTurned, desk: AtDesk) -> None:
    switch = SWITCHES.get(turned.name)
    if switch is None or (turned.to or 0) >= len(switch.settings):
        raise HTTPException(422, "there is no such switch")
    desk.board = switched(desk.board, switch, turned.to)


@acts.post("/switches/off", status_code=DONE)
async def turn_everything_off(desk: AtDesk) -> None:
    """What is not on the panel goes too."""
    desk.board = {}


class PhoneTurned(RequestModel):
    contact: str
    has_read_receipts: bool


@acts.post("/receipts", status_code=DONE)
async def turn_receipts(turned: PhoneTurned, desk: AtDesk) -> None:
    phone = desk.simulation.account.phones.get(turned.contact)
    desk.simulation.account.change_phone(turned.contact, phone.is_opted_out, turned.has_read_receipts)


class Jump(RequestModel):
    minutes: Annotated[int, Field(gt=0, le=60 * 24 * 400)]


@acts.post("/clock")
async def advance_clock(jump: Jump, desk: AtDesk) -> Response:
    response = await _beside(desk, lambda beside: beside.advance_clock(jump.minutes))
    if response.status_code == DONE:
        told = next((title for title, minutes in JUMPS.items() if minutes == jump.minutes), f"{length(jump.minutes * 60)} later")
        desk.simulation.account.record(Kind.TIME_PASSED, minutes=jump.minutes, told=told)
    return response


class PersonActs(RequestModel):
    contact: str
    act: str
    text: Annotated[str, Field(max_length=4096)] = ""


@acts.post("/acts")
async def act(asked: PersonActs, desk: AtDesk) -> Response:
    """A person takes a conversation over, answers, gives it back or closes it."""
    known: Mapping[str, Any] = desk.beside.acts if desk.beside else {}
    if asked.act not in known:
        raise HTTPException(422, "there is no such act")
    return await _beside(desk, lambda beside: beside.acts[asked.act](asked.contact, asked.text))


async def _beside(desk: Desk, work: Callable[[Beside], Awaitable[None]]) -> Response:
    if desk.beside is None:
        raise HTTPException(404)
    try:
        await work(desk.beside)
    except BesideTrouble as trouble:
        return JSONResponse({"trouble": str(trouble)}, 409)
    return Response(status_code=DONE)
