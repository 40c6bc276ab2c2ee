"""The stand-in under a real uvicorn, a door that it posts to, and the real Twilio client pointed at it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload
from urllib.parse import parse_qsl

import aiohttp
import uvicorn
from aiohttp import web
from twilio.http.async_http_client import AsyncTwilioHttpClient  # type: ignore[import-untyped]
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from simulator.phone.beside import Beside
from simulator.serving import Server
from simulator.settings import SimulatorSettings, StageDelays
from simulator.twilio_api import create_app

ACCOUNT_SID = "AC" + "1" * 32
AUTH_TOKEN = "a token that only the tests know"
SENDER = "whatsapp:+14155238886"
ANA = "whatsapp:+5511900000001"
BIA = "whatsapp:+5511900000002"
NO_DELAYS = StageDelays(0.0, 0.0, 0.0)
DEADLINE_SECONDS = 10.0

T = TypeVar("T")


def settings(**changes: Any) -> SimulatorSettings:
    return SimulatorSettings(**{"account_sid": ACCOUNT_SID, "auth_token": AUTH_TOKEN, "delays": NO_DELAYS, **changes})


@overload
async def eventually(look: Callable[[], Awaitable[T]]) -> T: ...
@overload
async def eventually(look: Callable[[], T]) -> T: ...
async def eventually(look: Callable[[], Any]) -> Any:
    """Look until something is found."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            found = look()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.01)


@dataclass
class Post:
    path: str
    form: dict[str, str]
    headers: dict[str, str]

    def is_signed_for(self, url: str, token: str = AUTH_TOKEN) -> bool:
        is_valid: bool = RequestValidator(token).validate(url, self.form, self.headers["X-Twilio-Signature"])
        return is_valid


@dataclass
class Door:
    """A webhook that keeps what it is sent, and answers by script: a status, `hang` or `close`; then 200."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    script: list[int | str] = field(default_factory=list)
    content_type: str = "text/xml"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        form = dict(parse_qsl(await request.text(), keep_blank_values=True))
        self.posts.append(Post(request.path_qs, form, dict(request.headers)))
        step = self.script.pop(0) if self.script else 200
        if step == "hang":
            await asyncio.sleep(DEADLINE_SECONDS)
        if step == "close":
            assert request.transport is not None
            request.transport.close()
        status = step if isinstance(step, int) else 200
        return web.Response(status=status, text="<Response/>", content_type=self.content_type)

    def statuses_of(self, sid: str) -> list[str]:
        return [post.form["MessageStatus"] for post in self.posts if post.form.get("MessageSid") == sid]


@asynccontextmanager
async def opened_door() -> AsyncIterator[Door]:
    door = Door()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", door.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    door.url = site_url(runner)
    try:
        yield door
    finally:
        await runner.cleanup()


def site_url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


def authorization(name: str = ACCOUNT_SID, secret: str = AUTH_TOKEN) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(name, secret)}


class ClientOfStandIn(AsyncTwilioHttpClient):  # type: ignore[misc]
    """Sends what is meant for any host of Twilio to the stand-in."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    async def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        path = url.partition(".twilio.com")[2]
        # aiohttp has deprecated the BasicAuth that the client would make of `auth`.
        kwargs["headers"] = {**(kwargs.get("headers") or {}), **authorization(*kwargs.pop("auth"))}
        return await super().request(method, self._url + path, *args, **kwargs)


@dataclass
class StandIn:
    url: str
    http: aiohttp.ClientSession
    twilio: Any

    async def write(self, sender: str = ANA, **fields: Any) -> dict[str, Any]:
        """As the contact."""
        return await self.control("POST", "messages", {"from": sender, **fields})

    async def phone(self, address: str = ANA, query: str = "") -> dict[str, Any]:
        return await self.control("GET", f"phones/{address}{query}")

    async def received(self, count: int, address: str = ANA) -> list[dict[str, Any]]:
        async def enough() -> list[dict[str, Any]]:
            messages: list[dict[str, Any]] = (await self.phone(address))["received"]
            return messages if len(messages) >= count else []

        return await eventually(enough)

    async def entries(self, kind: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.control("GET", f"ledger?kind={kind}" if kind else "ledger"))["entries"]
        return found

    async def break_down(self, **plan: Any) -> None:
        await self.control("POST", "faults", plan)

    async def control(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        async with self.http.request(method, f"{self.url}/simulator/{path}", json=body) as response:
            assert response.status == 200, await response.text()
            found: dict[str, Any] = await response.json()
            return found

    async def send(self, body: str = "Oi", to: str = ANA, **options: Any) -> Any:
        return await self.twilio.messages.create_async(to=to, from_=SENDER, body=body, **options)

    async def create(self, form: Any, name: str = ACCOUNT_SID, secret: str = AUTH_TOKEN, account: str = ACCOUNT_SID) -> Any:
        """A create by hand, for what the client would not send."""
        url = f"{self.url}/2010-04-01/Accounts/{account}/Messages.json"
        async with self.http.post(url, data=form, headers=authorization(name, secret)) as response:
            return response.status, await response.json()


@asynccontextmanager
async def running(configuration: SimulatorSettings, beside: Beside | None = None) -> AsyncIterator[StandIn]:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(configuration, beside)
    server = Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=1), app)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    http_client = ClientOfStandIn(url)
    client = Client(configuration.account_sid, configuration.auth_token, http_client=http_client)
    try:
        await eventually(lambda: server.started or serving.done())
        async with aiohttp.ClientSession() as http:
            yield StandIn(url, http, client)
    finally:
        await http_client.close()
        server.should_exit = True
        await serving
