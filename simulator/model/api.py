"""A model behind OpenAI's protocol, at /model/v1; any key will do, but there must be one, as at OpenAI."""

import json
from hashlib import sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from simulator.connection import HalfAResponse, hang, is_still_there
from simulator.ledger import Kind
from simulator.model import completions
from simulator.model.answering import answer_to
from simulator.model.completions import Asked
from simulator.model.faults import ModelFault
from simulator.request_model import has_lone_surrogate
from simulator.simulation import Simulation, simulation_of

MODEL = "simulated"

router = APIRouter(prefix="/model/v1")
Running = Annotated[Simulation, Depends(simulation_of)]


@router.get("/models")
async def list_models(request: Request) -> Response:
    if not _has_key(request):
        return _error(401, "invalid_api_key")
    return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "simulator"}]})


@router.post("/chat/completions")
async def complete(request: Request, simulation: Running) -> Response:
    """Whole answers only: what asks for a stream is refused."""
    if not _has_key(request):
        return _error(401, "invalid_api_key")
    asked = _asked(await request.body())
    if asked is None:
        return _error(400, "invalid_request_error")
    fault = simulation.faults.draw_model()
    _note(simulation, asked, fault)
    said = completions.answer(asked, answer_to(asked.messages))
    if fault is None:
        return JSONResponse(said)
    return await _broken(request, simulation, asked, said, fault)


async def _broken(request: Request, simulation: Simulation, asked: Asked, said: dict[str, Any], fault: ModelFault) -> Response:
    plan = simulation.faults.plan.model
    match fault:
        case ModelFault.TOO_MANY_REQUESTS:
            return _error(429, "rate_limit_exceeded", plan.retry_after_seconds)
        case ModelFault.ERROR:
            return _error(500, "server_error")
        case ModelFault.RESET_MIDWAY:
            return HalfAResponse(request, json.dumps(said).encode(), "application/json")
        case ModelFault.HANG:
            await hang(request, plan.hang_seconds)
            return Response()
        case ModelFault.EMPTY:
            return JSONResponse(completions.empty(asked))
        case ModelFault.NOT_JSON:
            return Response("<html><body>Bad gateway</body></html>", media_type="text/html")
        case ModelFault.MEGABYTE:
            return JSONResponse(completions.megabyte(asked))
        case ModelFault.TOOL_CALLS:
            return JSONResponse(completions.tool_call(asked))
        case ModelFault.SLOW:
            await is_still_there(request, plan.slow_seconds)
            return JSONResponse(said)


def _note(simulation: Simulation, asked: Asked, fault: ModelFault | None) -> None:
    """The question's digest tells questions apart, and nothing of what they say."""
    last = json.dumps(asked.messages[-1]).encode() if asked.messages else b""
    simulation.account.record(
        Kind.MODEL_ASKED,
        model=asked.model,
        messages=len(asked.messages),
        has_tools=bool(asked.tools),
        question=sha256(last).hexdigest()[:16],
        fault=None if fault is None else fault.value,
    )
    if fault is not None:
        simulation.account.note_fault(f"model.{fault}")


def _has_key(request: Request) -> bool:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(key.strip())


def _asked(body: bytes) -> Asked | None:
    """None for what is no request for a whole completion."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    match fields:
        case {"messages": list(messages), "model": str(model)} if not fields.get("stream"):
            tools = fields.get("tools") or []
        case _:
            return None
    if not (_are_objects(messages) and _are_tools(tools)) or has_lone_surrogate([model, messages]):
        return None
    return Asked(model, messages, tools)


def _are_objects(values: list[Any]) -> bool:
    return all(isinstance(value, dict) for value in values)


def _are_tools(tools: Any) -> bool:
    def is_tool(tool: Any) -> bool:
        match tool:
            case {"function": {"name": str(), "parameters": {"properties": dict()}}}:
                return True
            case _:
                return False

    return isinstance(tools, list) and all(is_tool(tool) for tool in tools)


def _error(status: int, code: str, retry_after_seconds: int | None = None) -> Response:
    headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    error = {"message": "Failed on purpose" if status >= 429 else code, "type": code, "param": None, "code": code}
    return JSONResponse({"error": error}, status, headers)
