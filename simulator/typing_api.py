"""The typing indicator. It also marks the message that it refers to as read."""

import json

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from simulator.access import require_credentials
from simulator.creation import parse_form
from simulator.errors import invalid_parameter, not_found
from simulator.ledger import Kind
from simulator.messages_api import Running
from simulator.simulation import Simulation

router = APIRouter(dependencies=[Depends(require_credentials)])


@router.post("/v2/Indicators/Typing.json")
async def show_typing(request: Request, simulation: Running) -> JSONResponse:
    form = parse_form(await request.body())
    return _shown(form.get("channel", [""])[0], form.get("messageId", [""])[0], request, simulation)


@router.post("/v3/Indicators/Typing.json")
async def show_typing_by_json(request: Request, simulation: Running) -> JSONResponse:
    try:
        fields = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise invalid_parameter("body") from None
    if not isinstance(fields, dict):
        raise invalid_parameter("body")
    return _shown(str(fields.get("channel", "")), str(fields.get("messageId", "")), request, simulation)


def _shown(channel: str, message_sid: str, request: Request, simulation: Simulation) -> JSONResponse:
    if channel.lower() != "whatsapp":
        raise invalid_parameter("channel")
    message = simulation.account.messages.get(message_sid)
    if message is None or not message.is_inbound:
        raise not_found(request.url.path)
    simulation.account.record(Kind.MESSAGE_READ, message.sid, address=message.sender)
    simulation.account.record(Kind.TYPING_SHOWN, message.sid, address=message.sender)
    return JSONResponse({"success": True})
