"""`prosa`: the commands for people."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from rich.console import Console

from settings import load_settings
from streams.errors import ProsaError, ReadModelUnavailable

app = typer.Typer(
    name="prosa",
    help="Answers WhatsApp conversations with AI from an event log: nothing lost, nothing twice.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
console = Console(highlight=False)
complaints = Console(stderr=True, highlight=False)

DATA_DIRECTORY = Path(".prosa")
STATUS_SECONDS = 3.0
"""How long `prosa say` goes on to watch the statuses of what it was answered."""
LOOK_SECONDS = 0.1

Directory = Annotated[Path, typer.Option("--data", help="Where the embedded servers keep their data.", file_okay=False)]


def _port(meaning: str) -> Any:
    return typer.Option(min=1, max=65535, help=meaning)


@app.command(epilog="Example: prosa dev --port 8080 --workers 3")
def dev(
    port: Annotated[int, _port("The webhook's port.")] = 8000,
    simulator_port: Annotated[int, _port("The Twilio simulator's port.")] = 8010,
    valkey_port: Annotated[int, _port("The embedded Valkey's port.")] = 6399,
    postgres_port: Annotated[int, _port("The embedded Postgres's port.")] = 5439,
    metrics_port: Annotated[int, _port("Health and metrics of the first worker; the others and the clock follow.")] = 9100,
    workers: Annotated[int, typer.Option(min=1, max=32, help="Processes that share the partitions out.")] = 1,
    data: Directory = DATA_DIRECTORY,
) -> None:
    """Run everything on this machine: Valkey, Postgres, webhook, handlers, clock and a Twilio simulator. Ctrl-C stops it."""
    from development.directory import RunDirectory
    from development.everything import run
    from development.plan import Plan, Ports

    ports = Ports(port, simulator_port, valkey_port, postgres_port, metrics_port)
    run(Plan(ports, workers, RunDirectory(data)), console)


@app.command(epilog='Example: prosa say "Olá!" --from whatsapp:+5511988887777')
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


@app.command(epilog="Example: prosa migrate --sql > prosa.sql")
def migrate(
    sql: Annotated[bool, typer.Option("--sql", help="Print the migrations as plain SQL, and change nothing.")] = False,
) -> None:
    """Bring the database of DATABASE_URL to the newest schema."""
    from projections import migrate as migrations

    if sql:
        typer.echo(migrations.migrations_as_sql())
        return
    try:
        migrations.migrate(load_settings().database_url.get_secret_value())
    except ReadModelUnavailable as error:
        raise _Complaint(f"the database of DATABASE_URL does not answer: {error}") from None
    console.print("The database is up to date.")


async def _say(simulator: str, sender: str, text: str, wait: float) -> None:
    async with aiohttp.ClientSession(simulator, trust_env=False) as session:
        phone = f"/simulator/phones/{sender}"
        async with session.get(phone) as response:
            seen: int = (await response.json())["last"]
        async with session.post("/simulator/messages", json={"from": sender, "body": text, "wait": True}) as response:
            written = await response.json()
        if response.status >= 400:
            raise _Complaint(f"the simulator refused the message: {written.get('detail', written)}")
        match written["webhook_status"]:
            case 200:
                console.print(f"{sender}: {text}", markup=False, soft_wrap=True)
            case None:
                raise _Complaint("the webhook did not answer; is prosa dev still starting?")
            case status:
                raise _Complaint(f"the webhook answered {status}; the log lines of prosa dev say why")
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
        raise _Complaint(f"no reply within {wait:.0f} seconds; the log lines of prosa dev say why")


class _Complaint(Exception):
    """What the user is told instead of a traceback."""


def main() -> None:
    """The entry point: what the user can put right is one line on standard error and exit code 1."""
    from development.errors import DevelopmentError
    from simulator.embedded_errors import ServerError

    try:
        app()
    except (ProsaError, DevelopmentError, ServerError, _Complaint) as error:
        _complain(str(error))
    except aiohttp.ClientError as error:
        _complain(f"the simulator does not answer: {error}")
    except OSError as error:
        _complain(str(error))


def _complain(sentence: str) -> None:
    complaints.print(f"prosa: {sentence}", style="red", markup=False, soft_wrap=True)
    raise SystemExit(1) from None


if __name__ == "__main__":
    main()
