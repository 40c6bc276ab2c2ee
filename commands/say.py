"""`prosa say`: be a contact, on the terminal."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import aiohttp
import typer

from commands import numbers
from commands.configured import settings_of_run
from commands.development_options import DATA_DIRECTORY, Directory
from commands.terminal import INTERRUPTED, AsJson, Complaint, console, print_json, printable

if TYPE_CHECKING:
    from rich.status import Status as ConsoleStatus

    from operations.answers import Answers
    from projections.database import Database
    from settings import Settings

STATUS_SECONDS = 3.0
"""How long `prosa say` goes on to watch the statuses of what it was answered."""
LOOK_SECONDS = 0.1
MARGIN_SECONDS = 15.0
"""How much longer than the model's turn an answer may take: for what comes before and after it."""
CHANNEL = "whatsapp:"
Phone: TypeAlias = dict[str, Any]
FINAL = frozenset({"read", "failed", "undelivered"})


def say(
    text: Annotated[str, typer.Argument(help="What the contact writes.")],
    sender: Annotated[str, typer.Option("--from", help="The contact's WhatsApp address.")] = "whatsapp:+5511999990000",
    wait: Annotated[
        float | None, numbers.seconds("Seconds to wait for a reply.", show_default="as long as the model may take")
    ] = None,
    as_json: AsJson = False,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Write to the running system as a contact, through the simulator, and show what the phone receives in answer."""
    from simulator.addresses import is_contact

    sender = address_of(sender)
    if not is_contact(sender):
        raise typer.BadParameter("give an address such as +5511988887777 or whatsapp:+5511988887777", param_hint="--from")
    if not text.strip():
        raise typer.BadParameter("there is nothing to say", param_hint="TEXT")
    settings = settings_of_run(data)
    longest = settings.ai_turn_timeout_seconds + settings.reply_quiet_seconds + MARGIN_SECONDS
    seconds = longest if wait is None else wait
    with nullcontext() if as_json or not console.is_terminal else console.status("waiting for the answer …") as waiting:
        heard = Heard(_silent if as_json else _tell, waiting)
        try:
            sid, answers = asyncio.run(_say(settings, sender, text, seconds, heard))
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
    if as_json:
        told = {"sid": sid, "replies": list(heard.messages.values()), "silence": answers.silence, "failure": answers.failure}
        print_json(told)
    _explain(heard, answers, seconds)


def address_of(name: str) -> str:
    """A contact's address as people write it: with or without the channel, the plus sign, and spaces and the like."""
    bare = re.sub(r"[\s()-]", "", name).removeprefix(CHANNEL)
    return f"{CHANNEL}{'+' if bare.isdecimal() else ''}{bare}"


def _explain(heard: "Heard", answers: "Answers", seconds: float) -> None:
    """Why there was no answer, or not the whole of it. A silence that somebody decided on is no failure."""
    if answers.failure:
        raise Complaint(answers.failure)
    if answers.silence:
        heard.told(f"No answer: {answers.silence}.")
    elif answers.sids - heard.messages.keys():
        raise Complaint("a reply was sent, and did not arrive on this phone; the log lines of prosa dev say why")
    elif not heard.messages:
        raise Complaint(f"no reply within {seconds:g} seconds; the log lines of prosa dev say why")


@dataclass
class Heard:
    """What the phone received in answer, each message with the furthest status that was seen."""

    told: Callable[[str], None]
    waiting: "ConsoleStatus | None" = None
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    settled_at: float | None = None

    def hear(self, received: list[dict[str, Any]], answers: "Answers") -> None:
        """Tell what is new; what answers an earlier message is not for us."""
        for message in received:
            sid, status = message["sid"], message["status"]
            if sid not in answers.sids:
                continue
            if sid not in self.messages:
                self.told(f"Prosa: {printable(message['body'] or '[media]')}")
            if status != self.messages.get(sid, {}).get("status"):
                self.told(f"       {printable(status)}")
            self.messages[sid] = {"sid": sid, "body": message["body"], "status": status}

    def typing(self) -> None:
        if self.waiting:
            self.waiting.update("Prosa is typing …")

    def has_ended(self, answers: "Answers") -> bool:
        """Nothing more comes: no message, and no status within a moment."""
        if not answers.is_settled:
            return False
        self.settled_at = self.settled_at or time.monotonic()
        final = {sid for sid, message in self.messages.items() if message["status"] in FINAL}
        return answers.sids <= final or time.monotonic() - self.settled_at > STATUS_SECONDS


async def _say(settings: "Settings", sender: str, text: str, wait: float, heard: Heard) -> tuple[str, "Answers"]:
    """Write, and listen for so long. Returns the message's sid and what came of it."""
    from projections.database import Database

    phone = f"/simulator/phones/{sender}"
    database = Database(settings.database_url.get_secret_value(), max_connections=1)
    try:
        async with aiohttp.ClientSession(settings.twilio_api_url, trust_env=False) as session:
            before: int = (await _get(session, phone))["last"]
            sid = await _write(session, sender, text)
            heard.told(printable(f"{sender}: {text}"))
            return sid, await _listen(lambda: _get(session, phone, after=before), database, sid, heard, wait)
    finally:
        await database.close()


async def _listen(see: Callable[[], Awaitable[Phone]], database: "Database", sid: str, heard: Heard, wait: float) -> "Answers":
    """Tell the replies to this message as they arrive, and then the statuses as Twilio tells them."""
    from operations.answers import answers_to

    deadline = time.monotonic() + wait
    while True:
        phone = await see()
        answers = await answers_to(database, sid)
        heard.hear(phone["received"], answers)
        if heard.has_ended(answers) or time.monotonic() > deadline:
            return answers
        if phone["is_typing_shown"]:
            heard.typing()
        await asyncio.sleep(LOOK_SECONDS)


async def _write(session: aiohttp.ClientSession, sender: str, text: str) -> str:
    from simulator.phone.contacts import default_name

    message = {"from": sender, "profile_name": default_name(sender), "body": text, "wait": True}
    async with session.post("/simulator/messages", json=message) as response:
        written: dict[str, Any] = await response.json()
    if response.status >= 400:
        raise Complaint(f"the simulator refused the message: {written.get('detail', written)}")
    if not written["webhooks"]:
        raise Complaint("Twilio lost this message on purpose; a minute from now, prosa reconcile --since 5m fetches it")
    match written["webhook_status"]:
        case 200:
            return str(written["sid"])
        case None:
            raise Complaint("the webhook did not answer; is prosa dev still starting?")
        case status:
            raise Complaint(f"the webhook answered {status}; the log lines of prosa dev say why")


async def _get(session: aiohttp.ClientSession, path: str, **parameters: int) -> Phone:
    async with session.get(path, params=parameters) as response:
        phone: Phone = await response.json()
    return phone


def _silent(_: str) -> None:
    pass


def _tell(line: str) -> None:
    console.print(line, style="dim" if line.startswith("  ") else None, markup=False, soft_wrap=True)
