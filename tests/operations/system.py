"""The whole system in one process: real door, groups, Redis and Postgres, the stand-in for Twilio, a model that a test holds."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from handlers.processes import build_app
from operations.connection import Connection, connected
from operations.conversations import Listed, listed
from projections.migrate import migrate
from projections.state import ThreadState
from settings import Settings
from streams.engines.choose import event_log
from streams.partitions import thread_of
from tests.handlers.raw_server import Asked, answering, serving
from tests.handlers.world import eventually
from tests.simulator import stand_in as twilio
from tests.webhook.serving import serving as serving_door
from webhook.door import create_door

PUBLIC = "https://prosa.example.com"
CONTACT = "whatsapp:+5511912345678"
THREAD = thread_of(twilio.SENDER, CONTACT)


@dataclass
class HeldModel:
    """Speaks Chat Completions, answers with `text`, and keeps whoever asks waiting while `gate` is closed."""

    text: str = "The AI answers."
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    answered: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        await self.gate.wait()
        said = {"name": "reply", "arguments": json.dumps({"text": self.text})}
        message = {"role": "assistant", "content": None, "tool_calls": [{"id": "t", "type": "function", "function": said}]}
        choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        await answering(200, body)(asked, writer)
        self.answered += 1


@dataclass
class System:
    settings: Settings
    model: HeldModel
    twilio: twilio.StandIn
    connection: Connection

    async def write(self, body: str) -> None:
        """As the contact."""
        await self.twilio.write(CONTACT, body=body)

    async def phone(self) -> list[str]:
        """What the contact's phone has received, in order."""
        received: list[dict[str, Any]] = (await self.twilio.phone(CONTACT))["received"]
        return [message["body"] for message in received]

    async def has_received(self, *bodies: str) -> None:
        """Return once the phone shows exactly this."""

        async def look() -> bool:
            return await self.phone() == list(bodies)

        await eventually(look, within_seconds=20)

    async def conversation(self) -> Listed:
        async def newest() -> list[Listed]:
            return list(await listed(self.connection, limit=1))

        [found] = await eventually(newest)
        return found

    async def comes_to(self, holds: Callable[[ThreadState], object]) -> ThreadState:
        """The thread's state once something holds of it."""

        async def look() -> ThreadState | None:
            state = (await self.connection.look(THREAD)).state
            return state if state and holds(state) else None

        found = await eventually(look, within_seconds=20)
        assert found is not None
        return found


@asynccontextmanager
async def a_system(redis_url: str, database_url: str, **given: Any) -> AsyncIterator[System]:
    await asyncio.to_thread(migrate, database_url)
    model = HeldModel()
    async with serving(model.answer) as server:
        settings = Settings(
            _env_file=None,
            **{
                "redis_url": redis_url,
                "database_url": database_url,
                "public_base_url": PUBLIC,
                "stream_partitions": 2,
                "twilio_account_sid": twilio.ACCOUNT_SID,
                "twilio_auth_token": twilio.AUTH_TOKEN,
                "twilio_timeout_seconds": 1,
                "lease_seconds": 4,
                "reply_quiet_seconds": 0.05,
                "ai_model": "openai:m",
                "openai_base_url": f"{server.url}/v1",
                **given,
            },
        )
        async with _door(settings) as local, _twilio(local) as stand_in:
            settings = settings.model_copy(update={"twilio_api_url": stand_in.url})
            async with _groups(settings), connected(settings) as connection:
                yield System(settings, model, stand_in, connection)


@asynccontextmanager
async def _door(settings: Settings) -> AsyncIterator[str]:
    async with serving_door(create_door(settings, event_log(settings))) as client:
        yield f"http://127.0.0.1:{client.port}"


@asynccontextmanager
async def _twilio(local: str) -> AsyncIterator[twilio.StandIn]:
    inbound = f"{PUBLIC}/webhooks/twilio/messages"
    async with twilio.running(twilio.settings(inbound_url=inbound, rewrites={PUBLIC: local})) as stand_in:
        yield stand_in


@asynccontextmanager
async def _groups(settings: Settings) -> AsyncIterator[None]:
    app = build_app(settings)
    await app.start()
    try:
        yield
    finally:
        await app.stop()
