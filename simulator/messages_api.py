"""The Messages resource of the 2010 API."""

import asyncio
import mimetypes
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from simulator.access import require_credentials, require_own_account
from simulator.connection import hang, is_still_there, reset
from simulator.creation import Draft, check_phone, checked_draft, parse_form
from simulator.errors import RestError, incomplete, internal_error, invalid_parameter, not_found, too_many_requests
from simulator.faults import CreateFault
from simulator.ledger import Kind
from simulator.messages import API_VERSION, Media, Message, message_resource
from simulator.sids import new_sid
from simulator.simulation import Simulation, simulation_of

WINDOW_CLOSED = 63016

PREFIX = f"/{API_VERSION}/Accounts/{{account_sid}}"
OWN_ACCOUNT = [Depends(require_credentials), Depends(require_own_account)]

router = APIRouter(prefix=PREFIX, dependencies=OWN_ACCOUNT)
Running = Annotated[Simulation, Depends(simulation_of)]


@router.post("/Messages.json")
async def create_message(request: Request, simulation: Running) -> Response:
    """Accept, or refuse with Twilio's code; faults on either side of the acceptance."""
    form = parse_form(await request.body())
    fault = simulation.faults.draw_before_create()
    if fault is CreateFault.LATE:
        await asyncio.sleep(simulation.faults.plan.create.slow_seconds)
    elif fault is not None:
        simulation.account.note_fault(f"create.{fault}", address=_recipient(form))
        _record_refusal(simulation, form, fault.value)
        return await _broken(request, simulation, fault)
    try:
        draft = _checked(form, simulation)
    except RestError as refusal:
        _record_refusal(simulation, form, str(refusal.code))
        raise
    fault = fault or simulation.faults.draw_after_create()
    message = _accepted(draft, simulation, fault)
    simulation.engine.start(message)
    if fault is CreateFault.SLOW:
        await is_still_there(request, simulation.faults.plan.create.slow_seconds)
    elif fault is not None and fault is not CreateFault.LATE:
        return await _broken(request, simulation, fault)
    return JSONResponse(message_resource(message, simulation.settings.account_sid), 201)


def _checked(form: dict[str, list[str]], simulation: Simulation) -> Draft:
    rejection = simulation.faults.draw_rejection()
    if rejection is not None:
        simulation.account.note_fault("create.reject", address=_recipient(form), code=rejection.code)
        raise RestError(rejection.status, rejection.code, "Refused on purpose")
    draft = checked_draft(form, simulation.settings)
    check_phone(simulation.account.phones.get(draft.recipient))
    return draft


def _record_refusal(simulation: Simulation, form: dict[str, list[str]], reason: str) -> None:
    simulation.account.record(Kind.MESSAGE_REFUSED, address=_recipient(form), reason=reason)


def _recipient(form: dict[str, list[str]]) -> str:
    return form.get("To", [""])[0]


def _accepted(draft: Draft, simulation: Simulation, fault: CreateFault | None) -> Message:
    now = time.time()
    is_refused_later = not draft.is_template and not simulation.account.has_open_window(draft.recipient)
    planned_code = None if is_refused_later else simulation.faults.draw_failure()
    message = Message(
        sid=new_sid("MM" if draft.media_urls else "SM"),
        direction="outbound-api",
        sender=simulation.settings.sender,
        recipient=draft.recipient,
        body=draft.body,
        status="queued" if draft.messaging_service_sid is None else "accepted",
        created_at=now,
        updated_at=now,
        media=tuple(_media(url) for url in draft.media_urls),
        messaging_service_sid=draft.messaging_service_sid,
        status_callback=draft.status_callback,
        failure_code=WINDOW_CLOSED if is_refused_later else planned_code,
    )
    simulation.account.record(
        Kind.MESSAGE_ACCEPTED,
        message.sid,
        address=message.recipient,
        message=message.to_json(),
        fault=None if fault is None else fault.value,
    )
    if fault is not None:
        simulation.account.note_fault(f"create.{fault}", message.sid, address=message.recipient)
    if planned_code is not None:
        simulation.account.note_fault("callbacks.fail", message.sid, address=message.recipient, code=planned_code)
    return message


def _media(url: str) -> Media:
    content_type, _ = mimetypes.guess_type(url.partition("?")[0])
    return Media(new_sid("ME"), content_type or "application/octet-stream", url)


async def _broken(request: Request, simulation: Simulation, fault: CreateFault) -> Response:
    match fault:
        case CreateFault.TOO_MANY_REQUESTS:
            raise too_many_requests(simulation.faults.plan.create.retry_after_seconds)
        case CreateFault.ERROR_BEFORE | CreateFault.ERROR_AFTER:
            raise internal_error()
        case CreateFault.RESET_BEFORE | CreateFault.RESET_AFTER:
            await reset(request)
        case CreateFault.HANG_BEFORE | CreateFault.HANG_AFTER:
            await hang(request, simulation.faults.plan.create.hang_seconds)
    return Response()


def message_of(sid: str, request: Request, simulation: Running) -> Message:
    message = simulation.account.messages.get(sid)
    if message is None:
        raise not_found(request.url.path)
    return message


Known = Annotated[Message, Depends(message_of)]


@router.get("/Messages/{sid}.json")
async def fetch_message(message: Known, simulation: Running) -> JSONResponse:
    return JSONResponse(message_resource(message, simulation.settings.account_sid))


@router.post("/Messages/{sid}.json")
async def redact_message(message: Known, request: Request, simulation: Running) -> JSONResponse:
    """The only update there is: an empty body takes the text away, once the message is through."""
    form = parse_form(await request.body())
    if form.get("Body") != [""]:
        raise invalid_parameter("Body")
    if not message.is_finished:
        raise incomplete()
    simulation.account.record(Kind.MESSAGE_REDACTED, message.sid)
    redacted = simulation.account.messages.get(message.sid) or message
    return JSONResponse(message_resource(redacted, simulation.settings.account_sid))


@router.delete("/Messages/{sid}.json")
async def delete_message(message: Known, simulation: Running) -> Response:
    if not message.is_finished:
        raise incomplete()
    for media in message.media:
        simulation.account.media.delete(media.sid)
    simulation.account.record(Kind.MESSAGE_DELETED, message.sid)
    return Response(status_code=204)
