"""How DATABASE_URL reaches Postgres: Supabase's three ways, and whether anybody can listen in. Only a name is looked up."""

import asyncio
import re
import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from urllib.parse import parse_qs, unquote, urlsplit

from operations.doctor.findings import Finding, Group, error, warning, well
from operations.doctor.system import System
from projections.database import TRANSACTION_POOLER_PORT

SESSION_POOLER_PORT = 5432
_POOLER = re.compile(r".+\.pooler\.supabase\.com")
_DIRECT = re.compile(r"db\.[a-z0-9]+\.supabase\.(co|com)")
ENCRYPTED = {"require", "verify-ca", "verify-full"}


async def database_address(system: System) -> Sequence[Finding]:
    url = system.settings.database_url.get_secret_value()
    findings = [*supabase(url), *encryption(url)]
    host = urlsplit(url).hostname or ""
    if is_direct(url) and not await _has_ipv4(host):
        findings.append(
            warning(
                Group.REACHABLE,
                "Supabase's direct connection has an IPv6 address only.",
                "where this machine has no IPv6, take the session pooler's address from Supabase's page Connect",
            )
        )
    return findings


def supabase(url: str) -> Iterator[Finding]:
    """What is known of Supabase's addresses: https://supabase.com/docs/guides/database/connecting-to-postgres"""
    address = urlsplit(url)
    if not _POOLER.fullmatch(address.hostname or ""):
        if is_direct(url):
            yield well(Group.CONFIGURED, "DATABASE_URL is Supabase's direct connection.")
        return
    role, _, project = unquote(address.username or "").partition(".")
    if not role or not project:
        yield error(
            Group.CONFIGURED,
            f"Supabase's pooler needs the project in the user's name, and DATABASE_URL has {role or 'none'}.",
            f"write the user as {role or 'postgres'}.PROJECT",
        )
    match address.port or SESSION_POOLER_PORT:
        case port if port == TRANSACTION_POOLER_PORT:
            yield well(Group.CONFIGURED, "DATABASE_URL is Supabase's transaction pooler.")
        case port if port == SESSION_POOLER_PORT:
            yield well(Group.CONFIGURED, "DATABASE_URL is Supabase's session pooler.")
        case port:
            yield error(
                Group.CONFIGURED,
                f"Supabase's pooler does not listen on port {port}.",
                f"set DATABASE_URL to port {TRANSACTION_POOLER_PORT} (transactions) or {SESSION_POOLER_PORT} (sessions)",
            )


def is_direct(url: str) -> bool:
    return bool(_DIRECT.fullmatch(urlsplit(url).hostname or ""))


def encryption(url: str) -> Iterator[Finding]:
    """Postgres's driver falls back to plain text unless it is told not to."""
    address = urlsplit(url)
    mode = (parse_qs(address.query).get("sslmode") or ["prefer"])[-1]
    if mode not in ENCRYPTED and is_public(address.hostname or ""):
        yield warning(
            Group.SAFE,
            f"The connection to {address.hostname} need not be encrypted: sslmode is {mode}.",
            "add sslmode=require to DATABASE_URL",
        )


def is_public(host: str) -> bool:
    """Whether the way there may lead through other people's networks."""
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local", ".internal", ".lan"))


async def _has_ipv4(host: str) -> bool:
    """A name that cannot be looked up at all is another check's finding."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return True
    return any(family == socket.AF_INET for family, *_ in found)
