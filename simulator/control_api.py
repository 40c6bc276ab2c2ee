"""What tests and people use, and Twilio does not have: write as a contact, look at a phone, read the ledger, plan faults."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request

from simulator.access import require_control
from simulator.faults import FaultPlan
from simulator.inbound import InboundMessage
from simulator.ledger import Kind, Ledger
from simulator.messages_api import Running
from simulator.phones import Phone
from simulator.request_model import RequestModel
from simulator.simulation import Simulation

router = APIRouter(prefix="/simulator", dependencies=[Depends(require_control)])

After = Annotated[int, Query(ge=0)]
Wait = Annotated[float, Query(ge=0, le=60, alias="timeout", allow_inf_nan=False)]


@router.get("/health")
async def health(simulation: Running) -> dict[str, Any]:
    return {"status": "ok", "entries": len(simulation.account.ledger), "messages": len(simulation.account.messages)}


@router.post("/messages")
async def write_message(inbound: InboundMessage, request: Request, simulation: Running) -> dict[str, Any]:
    """webhook_status is the first copy's: None when nobody waited or nothing answered."""
    injected = await simulation.injection.write(inbound, str(request.base_url).rstrip("/"))
    outcomes = [asdict(outcome) for outcome in injected.outcomes]
    return {
        "sid": injected.sid,
        "webhook_status": outcomes[0]["status"] if outcomes else None,
        "webhooks": outcomes,
    }


@router.post("/messages/{sid}/replays")
async def replay_message(sid: str, simulation: Running) -> dict[str, Any]:
    """Post an inbound message's webhook once more, exactly as it was: the same signature, the same idempotency token."""
    outcome = await simulation.injection.replay(sid)
    if outcome is None:
        raise HTTPException(404)
    return asdict(outcome)


@router.get("/phones")
async def list_phones(simulation: Running) -> dict[str, Any]:
    return {"addresses": simulation.account.phones.addresses()}


@router.get("/phones/{address}")
async def see_phone(address: str, simulation: Running, after: After = 0, wait_seconds: Wait = 0.0) -> dict[str, Any]:
    """
    What the phone received and sent after this ledger number.

    With a timeout the answer waits until something was received after it, or the time is over.
    """
    await _until(
        simulation.account.ledger,
        lambda: any(received.number > after for received in simulation.account.phones.get(address).received),
        wait_seconds,
    )
    return _phone_resource(simulation.account.phones.get(address), after, simulation)


class PhoneSettings(RequestModel):
    is_opted_out: bool | None = None
    has_read_receipts: bool | None = None


@router.post("/phones/{address}")
async def change_phone(address: str, change: PhoneSettings, simulation: Running) -> dict[str, Any]:
    """What is left out stays as it is."""
    phone = simulation.account.phones.get(address)
    is_opted_out = phone.is_opted_out if change.is_opted_out is None else change.is_opted_out
    has_read_receipts = phone.has_read_receipts if change.has_read_receipts is None else change.has_read_receipts
    return _phone_resource(simulation.account.change_phone(address, is_opted_out, has_read_receipts), 0, simulation)


@router.get("/ledger")
async def read_ledger(
    simulation: Running, after: After = 0, kind: Kind | None = None, wait_seconds: Wait = 0.0
) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        entries = simulation.account.ledger.entries(after)
        return [entry.to_json() for entry in entries if kind is None or entry.kind == kind]

    await _until(simulation.account.ledger, lambda: bool(found()), wait_seconds)
    return {"entries": found(), "last": len(simulation.account.ledger)}


@router.get("/debugger")
async def read_debugger(simulation: Running, after: After = 0) -> dict[str, Any]:
    """The webhooks that failed, as Twilio's debugger lists them."""
    return await read_ledger(simulation, after, Kind.WEBHOOK_FAILED)


@router.get("/faults")
async def see_faults(simulation: Running) -> FaultPlan:
    """What is still to come."""
    return simulation.faults.plan


@router.post("/faults")
async def plan_faults(plan: FaultPlan, simulation: Running) -> FaultPlan:
    """Replaces the whole plan; an empty one heals everything. Returns it without its seed, with which the draws began anew."""
    simulation.plan_faults(plan)
    return simulation.faults.plan


@router.get("/tally")
async def count_faults(simulation: Running) -> dict[str, int]:
    """How often each fault happened, over restarts too."""
    happened = (entry for entry in simulation.account.ledger.entries() if entry.kind is Kind.FAULT_HAPPENED)
    return dict(Counter(entry.details["fault"] for entry in happened))


def _phone_resource(phone: Phone, after: int, simulation: Simulation) -> dict[str, Any]:
    return {
        "address": phone.address,
        "received": [asdict(received) for received in phone.received if received.number > after],
        "sent": [asdict(written) for written in phone.sent if written.number > after],
        "last": len(simulation.account.ledger),
        "is_typing_shown": phone.typing_until > time.time(),
        "has_open_window": simulation.account.has_open_window(phone.address),
        "is_opted_out": phone.is_opted_out,
        "has_read_receipts": phone.has_read_receipts,
    }


async def _until(ledger: Ledger, holds: Callable[[], bool], seconds: float) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not holds():
        try:
            async with asyncio.timeout_at(deadline):
                await ledger.changed()
        except TimeoutError:
            return
