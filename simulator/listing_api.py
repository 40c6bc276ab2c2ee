"""The list of messages, which a reconciliation reads, and what goes wrong with it on purpose."""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from simulator.connection import hang, reset
from simulator.errors import internal_error, too_many_requests
from simulator.faults import ListingFault
from simulator.listing import Page, page_of
from simulator.messages import Message, message_resource
from simulator.messages_api import OWN_ACCOUNT, PREFIX, Running
from simulator.simulation import Simulation

router = APIRouter(prefix=PREFIX, dependencies=OWN_ACCOUNT)


@router.get("/Messages.json")
async def list_messages(request: Request, simulation: Running) -> Response:
    visible = _Visible(time.time() - simulation.faults.plan.listing_delay_seconds)
    page = page_of(simulation.account.messages, dict(request.query_params), visible)
    response = JSONResponse(_page_resource(page, request, simulation.settings.account_sid))
    fault = simulation.faults.draw_listing()
    return response if fault is None else await _broken(response, request, simulation, fault)


@dataclass(frozen=True, slots=True)
class _Visible:
    """Inbound messages are listed at once, outbound ones when they are old enough."""

    accepted_until: float

    def __call__(self, message: Message) -> bool:
        return message.is_inbound or message.created_at <= self.accepted_until


async def _broken(response: Response, request: Request, simulation: Simulation, fault: ListingFault) -> Response:
    plan = simulation.faults.plan.listing
    simulation.account.note_fault(f"listing.{fault}")
    match fault:
        case ListingFault.TOO_MANY_REQUESTS:
            raise too_many_requests(plan.retry_after_seconds)
        case ListingFault.ERROR:
            raise internal_error()
        case ListingFault.GARBLED:
            return Response(bytes(response.body[: len(response.body) // 2]), media_type="application/json")
        case ListingFault.RESET:
            await reset(request)
        case ListingFault.HANG:
            await hang(request, plan.hang_seconds)
    return Response()


def _page_resource(page: Page, request: Request, account_sid: str) -> dict[str, Any]:
    path = request.url.path
    query = request.url.query
    start = page.number * page.size
    first = {name: value for name, value in request.query_params.items() if name != "PageToken"}
    return {
        "end": start + max(len(page.messages) - 1, 0),
        "first_page_uri": f"{path}?{urlencode({**first, 'PageSize': page.size, 'Page': 0})}",
        "messages": [message_resource(message, account_sid) for message in page.messages],
        "next_page_uri": None if page.next_query is None else f"{path}?{page.next_query}",
        "page": page.number,
        "page_size": page.size,
        "previous_page_uri": None,
        "start": start,
        "uri": f"{path}?{query}" if query else path,
    }
