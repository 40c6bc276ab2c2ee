"""PUBLIC_BASE_URL: where Twilio finds the webhook."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

import aiohttp

from operations.doctor.findings import Finding, Group, error, warning, well
from operations.doctor.system import System
from webhook.door import MESSAGES_PATH

PROBE_SECONDS = 4.0


async def public_address(system: System) -> Sequence[Finding]:
    return list(_shape(system.settings.public_base_url, is_production=system.is_production))


def _shape(url: str, *, is_production: bool) -> Iterator[Finding]:
    address = urlsplit(url)
    host = address.hostname or ""
    if is_local(host):
        if is_production:
            yield error(
                Group.CONFIGURED,
                f"Twilio cannot reach {host}, which PUBLIC_BASE_URL names.",
                "set it to the webhook's public https address",
            )
        else:
            yield well(Group.CONFIGURED, f"PUBLIC_BASE_URL is {host}, which only this machine reaches.")
    elif address.scheme != "https":
        yield warning(
            Group.SAFE, "PUBLIC_BASE_URL is not https: messages would travel in plain text.", "set it to an https address"
        )
    else:
        yield well(Group.CONFIGURED, f"Twilio is to reach the webhook at https://{address.netloc.rpartition('@')[2]}.")
    if address.path:
        yield warning(
            Group.CONFIGURED,
            f"PUBLIC_BASE_URL has the path {address.path}.",
            f"leave it only if a proxy takes it off: the webhook itself listens at {MESSAGES_PATH}",
        )


def is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False


async def webhook(system: System) -> Sequence[Finding]:
    """Ask for the webhook in a way that it refuses: it takes POST only, and nothing is logged or stored."""
    url = system.settings.public_base_url + MESSAGES_PATH
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
    remedy = "start it: uvicorn webhook:app; or set PUBLIC_BASE_URL to where it, or the proxy before it, listens"
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError) as failure:
        return [warning(Group.REACHABLE, f"PUBLIC_BASE_URL does not answer this machine: {type(failure).__name__}.", remedy)]
    if status != HTTPStatus.METHOD_NOT_ALLOWED:
        return [warning(Group.REACHABLE, f"What answers at PUBLIC_BASE_URL is not the webhook: status {status}.", remedy)]
    return [well(Group.REACHABLE, "The webhook answers at PUBLIC_BASE_URL.")]
