"""`prosa say`: be a contact, on the terminal."""

import asyncio
import time
from typing import Annotated

import aiohttp
import typer

from commands.development_options import DATA_DIRECTORY, Directory
from commands.terminal import Complaint, console

STATUS_SECONDS = 3.0
"""How long `prosa say` goes on to watch the statuses of what it was answered."""
LOOK_SECONDS = 0.1


def say(
    text: Annotated[str, typer.Argument(help="What the contact writes.")],
    sender: Annotated[str, typer.Option("--from", help="The contact's WhatsApp address.")] = "whatsapp:+5511999990000",
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a reply.")] = 60.0,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Write to the running system as a contact, through the simulator, and show what the phone receives."""
    from development.directory import RunDirectory
    from simulator.addresses import is_contact

    if not is_contact(sender):
        raise typer.BadParameter("give an address such as whatsapp:+5511988887777", param_hint="--from")
    if not text.strip():
        raise typer.BadParameter("there is nothing to say", param_hint="TEXT")
    simulator = RunDirectory(data).read_addresses()["TWILIO_API_URL"]
    asyncio.run(_say(simulator, sender, text, wait))


async def _say(simulator: str, sender: str, text: str, wait: float) -> None:
    async with aiohttp.ClientSession(simulator, trust_env=False) as session:
        phone = f"/simulator/phones/{sender}"
        async with session.get(phone) as response:
            seen: int = (await response.json())["last"]
        async with session.post("/simulator/messages", json={"from": sender, "body": text, "wait": True}) as response:
            written = await response.json()
        if response.status >= 400:
            raise Complaint(f"the simulator refused the message: {written.get('detail', written)}")
        match written["webhook_status"]:
            case 200:
                console.print(f"{sender}: {text}", markup=False, soft_wrap=True)
            case None:
                raise Complaint("the webhook did not answer; is prosa dev still starting?")
            case status:
                raise Complaint(f"the webhook answered {status}; the log lines of prosa dev say why")
        await _show_replies(session, phone, seen, wait)


async def _show_replies(session: aiohttp.ClientSession, phone: str, seen: int, wait: float) -> None:
    """Print the replies as they arrive, then the statuses as Twilio tells them."""
    deadline = time.monotonic() + wait
    statuses: dict[str, str] = {}
    while (left := deadline - time.monotonic()) > 0:
        async with session.get(phone, params={"after": seen, "timeout": 0 if statuses else min(left, 30)}) as response:
            received = (await response.json())["received"]
        for message in received:
            if message["sid"] not in statuses:
                console.print(f"Prosa: {message['body']}", markup=False, soft_wrap=True)
                deadline = min(deadline, time.monotonic() + STATUS_SECONDS)
            if statuses.get(message["sid"]) != message["status"]:
                console.print(f"       {message['status']}", style="dim")
                statuses[message["sid"]] = message["status"]
        if statuses and all(status == "read" for status in statuses.values()):
            return
        if statuses:
            await asyncio.sleep(LOOK_SECONDS)
    if not statuses:
        raise Complaint(f"no reply within {wait:.0f} seconds; the log lines of prosa dev say why")
