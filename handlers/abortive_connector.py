"""
Connections that end with the call: what was not delivered until then never is.

A socket that is closed as usual leaves its send queue to the system, and Linux goes on retransmitting that for about 100 s: where
the path was lost, the request may arrive long after its caller has timed out. So here nothing outlives the call:

- a connection that is let go of is aborted: what is not written yet is dropped, and no shutdown of TLS is waited for, as
  asyncio would for 30 s;
- a socket that is closed, also because its process was killed, drops its send queue and resets the connection (SO_LINGER of 0 s);
- a process that is stopped closes nothing: there Linux itself gives up what nobody acknowledges (TCP_USER_TIMEOUT).

What left the machine already may still arrive, as late as the network is slow.
"""

import socket
import struct
from functools import partial

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

_RESET_AT_ONCE = struct.pack("ii", 1, 0)


class AbortiveConnector(aiohttp.TCPConnector):
    """A connection of its own for each call. Nothing is sent again once it was sent in vain for `timeout_seconds`."""

    def __init__(self, *, timeout_seconds: float) -> None:
        opened = partial(abortive_socket, timeout_ms=max(1, int(timeout_seconds * 1000)))
        super().__init__(force_close=True, limit=0, socket_factory=opened)

    async def connect(self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:  # noqa: ASYNC109
        """One that is aborted where another would be closed: after the whole answer, or when the call is broken off."""
        connection = await super().connect(req, traces, timeout)
        connection.add_callback(partial(_abort, connection))
        return connection


def _abort(connection: Connection) -> None:
    if connection.transport is not None:
        connection.transport.abort()


def abortive_socket(address: aiohttp.AddrInfoType, *, timeout_ms: int) -> socket.socket:
    """Not yet connected."""
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
    return opened
