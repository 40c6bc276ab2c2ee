"""
A call that has ended arrives nowhere afterwards.

The server here is deaf at first: its receive buffer is tiny and it reads nothing, so that most of a large request stays with the
client, as all of it does where the path is lost. What the server reads later is what the client's side goes on delivering.
"""

import asyncio
import select
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import aiohttp.connector
import pytest
import uvloop

from handlers.abortive_connector import abortive_socket
from handlers.twilio_answers import Accepted, SendResult, Unknown
from handlers.twilio_client import TwilioClient

SERVER_BUFFER_BYTES = 4096
WITH_THE_SYSTEM, WITH_THE_PROCESS = 200_000, 12_000_000
"""What the client's system takes at once, and more than it takes: the rest waits in the process."""

LAST_WORDS = "last-words"
ANSWER = b'HTTP/1.1 201 Created\r\nContent-Length: 34\r\n\r\n{"sid": "SM1", "status": "queued"}'
DEADLINE_SECONDS = 20.0
ROOT = Path(__file__).parents[2]

Run = Callable[[Coroutine[Any, Any, SendResult]], SendResult]

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

on_each_loop = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
on_each_scheme = pytest.mark.parametrize("is_encrypted", [False, True], ids=["http", "https"])


@dataclass(frozen=True)
class Heard:
    is_whole: bool
    is_reset: bool


@dataclass
class DeafServer:
    """Takes one call, and reads no more than its first byte until it `listens`."""

    listener: socket.socket
    tls: ssl.SSLContext | None = None
    is_called: Event = field(default_factory=Event)
    listens: Event = field(default_factory=Event)

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> Heard:
        connection, _ = self.listener.accept()
        connection.settimeout(DEADLINE_SECONDS)
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False)
        with connection:
            request = bytearray(connection.recv(1))
            self.is_called.set()
            assert self.listens.wait(DEADLINE_SECONDS)
            try:
                while not request.endswith(LAST_WORDS.encode()) and (piece := connection.recv(65536)):
                    request += piece
            except (ConnectionResetError, ssl.SSLEOFError):
                return Heard(is_whole=False, is_reset=True)
            is_whole = request.endswith(LAST_WORDS.encode())
            if is_whole:
                connection.sendall(ANSWER)
            return Heard(is_whole, is_reset=False)


@contextmanager
def _deaf(tls: ssl.SSLContext | None = None) -> Iterator[tuple[DeafServer, "Future[Heard]"]]:
    with socket.socket() as listener, ThreadPoolExecutor(1) as thread:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SERVER_BUFFER_BYTES)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(DEADLINE_SECONDS)
        server = DeafServer(listener, tls)
        try:
            yield server, thread.submit(server.serve)
        finally:
            server.listens.set()


def _tls(monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Without certificates: what they prove is not asked here."""
    contexts = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in contexts:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aNULL:@SECLEVEL=0")
    server, client = contexts
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", client)
    return server


async def _call(url: str, size: int, timeout_seconds: float) -> SendResult:
    async with TwilioClient(account_sid="AC1", auth_token="token", api_url=url, timeout_seconds=timeout_seconds) as client:
        return await client.create_message(to="to", from_="from", body="x" * size, status_callback=LAST_WORDS)


@on_each_loop
@on_each_scheme
def test_what_was_not_delivered_when_a_call_timed_out_never_is(
    run: Run, is_encrypted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _deaf(_tls(monkeypatch) if is_encrypted else None) as (server, heard):

        async def call() -> SendResult:
            result = await _call(server.url, WITH_THE_SYSTEM, 2.0)
            server.listens.set()
            await asyncio.wait([asyncio.wrap_future(heard)])  # the loop goes on, as a worker's does
            return result

        assert run(call()) == Unknown("timeout")
        assert heard.result() == Heard(is_whole=False, is_reset=True)


@on_each_loop
@on_each_scheme
@pytest.mark.parametrize("size", [WITH_THE_SYSTEM, WITH_THE_PROCESS])
def test_what_was_not_delivered_when_a_call_was_cancelled_never_is(
    run: Run, is_encrypted: bool, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _deaf(_tls(monkeypatch) if is_encrypted else None) as (server, heard):

        async def call() -> SendResult:
            task = asyncio.create_task(_call(server.url, size, DEADLINE_SECONDS))
            await asyncio.to_thread(server.is_called.wait)
            task.cancel()
            await asyncio.wait([task])
            server.listens.set()
            await asyncio.wait([asyncio.wrap_future(heard)])
            return Unknown("cancelled")

        run(call())
        assert heard.result() == Heard(is_whole=False, is_reset=True)


@on_each_loop
@on_each_scheme
@pytest.mark.parametrize("size", [100, WITH_THE_SYSTEM, WITH_THE_PROCESS])
def test_what_is_delivered_in_time_is_answered(run: Run, is_encrypted: bool, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with _deaf(_tls(monkeypatch) if is_encrypted else None) as (server, heard):
        server.listens.set()
        assert run(_call(server.url, size, DEADLINE_SECONDS)) == Accepted("SM1", "queued")
        assert heard.result().is_whole


CALLING = """
import asyncio, sys
from tests.handlers.test_abortive_connector import _call
asyncio.run(_call(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
"""


def test_what_was_not_delivered_when_its_process_was_killed_never_is() -> None:
    with _deaf() as (server, heard):
        arguments = [server.url, str(WITH_THE_SYSTEM), str(DEADLINE_SECONDS)]
        with subprocess.Popen([sys.executable, "-c", CALLING, *arguments], cwd=ROOT) as process:  # noqa: S603 - ours
            is_called = server.is_called.wait(DEADLINE_SECONDS)
            process.kill()
        assert is_called
        server.listens.set()
        assert heard.result() == Heard(is_whole=False, is_reset=True)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux gives up by itself")
def test_what_nobody_acknowledges_is_not_sent_on_though_its_process_does_nothing() -> None:
    with _deaf() as (server, heard):
        address = server.listener.getsockname()
        with abortive_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", address), timeout_ms=500) as idle:
            idle.connect(address)
            idle.sendall(b"x" * WITH_THE_SYSTEM + LAST_WORDS.encode())
            has_ended = select.poll()
            has_ended.register(idle, 0)
            assert has_ended.poll(DEADLINE_SECONDS * 1000), "the system sends on"
            server.listens.set()
            assert heard.result() == Heard(is_whole=False, is_reset=True)
