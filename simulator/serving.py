"""The stand-in behind uvicorn, which waits for open connections at its end: pages that are open are let go first."""

import signal
import socket
import sys

import uvicorn
from fastapi import FastAPI


class Server(uvicorn.Server):
    """Says to the application that it is about to stop, before it waits for anybody."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.desk.leaving.set()
        await super().shutdown(sockets)


def server_of(app: FastAPI, host: str, port: int) -> Server:
    """No access log: its paths carry phone numbers."""
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=2
    )
    return Server(config, app)


def serve(app: FastAPI, host: str, port: int) -> None:
    """Until SIGTERM or SIGINT, after which the process ends with exit code 0; 1 where it cannot listen."""
    # uvicorn drains, and then raises the signal again for us: a stop that was asked for is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    server = server_of(app, host, port)
    server.run()
    if not server.started:
        sys.exit(1)
