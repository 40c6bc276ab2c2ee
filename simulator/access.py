"""
Who may call: API clients by basic auth, the control plane and the phone page from this machine only, unless they are opened.

Every site that a browser on this machine shows could post to them too, and a foreign name may be made to point here (DNS
rebinding). So the Host must be an address, this machine's own name or the one it has in a network of containers, and where a
browser says where a request comes from, that must be here.
"""

import base64
import binascii
import hmac
import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import gethostname
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from simulator.errors import not_found, unauthenticated
from simulator.settings import SimulatorSettings
from simulator.simulation import Simulation, simulation_of

NAMES = frozenset({"localhost", "simulator"})
"""Of the loopback, and of the container."""
HOST = re.compile(r"(?:(?P<name>[A-Za-z0-9.-]+)|\[(?P<address>[0-9A-Fa-f:.]+)\])(?::[0-9]{1,5})?")


def require_credentials(request: Request, simulation: Annotated[Simulation, Depends(simulation_of)]) -> None:
    """The account with its token, or an API key with its secret; never a key with the token."""
    if not _is_known(_credentials(request.headers.get("Authorization", "")), simulation.settings):
        raise unauthenticated()


def require_own_account(account_sid: str, request: Request, simulation: Annotated[Simulation, Depends(simulation_of)]) -> None:
    if account_sid != simulation.settings.account_sid:
        raise not_found(request.url.path)


def require_control(request: Request, simulation: Annotated[Simulation, Depends(simulation_of)]) -> None:
    """In a container nobody comes from the loopback address: there, whoever publishes the port decides who reaches it."""
    if not simulation.settings.is_control_open:
        require_loopback(request)


def require_loopback(request: Request) -> None:
    if request.client is None or not ip_address(request.client.host).is_loopback:
        raise HTTPException(403)


def refuse_foreign_names(request: Request) -> None:
    """Raise 421 for a Host that somebody else may own. A link from elsewhere may lead here."""
    if not _is_our_own(", ".join(request.headers.getlist("Host"))):
        raise HTTPException(421, "this address is known here as localhost or 127.0.0.1 only")


def refuse_other_sites(request: Request) -> None:
    """Raise 403 for what another site's page sends. What is no browser says nothing of the kind, and passes."""
    origin = request.headers.get("Origin")
    is_own = origin in {None, f"{request.url.scheme}://{request.headers.get('Host', '')}"}
    if not is_own or request.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}:
        raise HTTPException(403, "another site may not do this")


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, secret


def _is_known(credentials: tuple[str, str], settings: SimulatorSettings) -> bool:
    known = {settings.account_sid: settings.auth_token}
    if settings.api_key is not None:
        known[settings.api_key.sid] = settings.api_key.secret
    name, secret = credentials
    return name in known and hmac.compare_digest(secret.encode(), known[name].encode())


def _is_our_own(host: str) -> bool:
    match = HOST.fullmatch(host)
    if match is None:
        return False
    if match["address"] is not None:
        return _is_address(IPv6Address, match["address"].lower())
    name = match["name"].lower()
    return name in {*NAMES, gethostname().lower()} or name.endswith(".localhost") or _is_address(IPv4Address, name)


def _is_address(version: type[IPv4Address] | type[IPv6Address], text: str) -> bool:
    """As it is written by everybody: a browser sends no other form, and some programs take others for something else."""
    try:
        return str(version(text)) == text
    except ValueError:
        return False
