"""The Account resource of the 2010 API: what a client asks for to see whether its credentials are right."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from simulator.access import require_credentials, require_own_account
from simulator.messages import API_VERSION
from simulator.simulation import Simulation, simulation_of

router = APIRouter(prefix=f"/{API_VERSION}", dependencies=[Depends(require_credentials), Depends(require_own_account)])


@router.get("/Accounts/{account_sid}.json")
async def fetch_account(simulation: Annotated[Simulation, Depends(simulation_of)]) -> dict[str, Any]:
    """An account that is active, and on trial for ever."""
    sid = simulation.settings.account_sid
    return {
        "sid": sid,
        "owner_account_sid": sid,
        "friendly_name": "Stand-in",
        "status": "active",
        "type": "Trial",
        "uri": f"/{API_VERSION}/Accounts/{sid}.json",
    }
