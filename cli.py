"""`prosa`: the commands for people."""

import sys

import aiohttp
import typer

from commands.clock import clock
from commands.conversations import conversations
from commands.dead_letters import dead_letters
from commands.dev import dev
from commands.doctor import doctor
from commands.migrate import migrate
from commands.reconcile import reconcile
from commands.repair import repair
from commands.say import say
from commands.sends import sends
from commands.simulator import simulator
from commands.status import status
from commands.terminal import Complaint, complaints, printable
from commands.version import common
from streams.errors import FatalError, LogUnavailable, ProsaError, ReadModelUnavailable
from telemetry import log_to_standard_error

app = typer.Typer(
    name="prosa",
    help="Answers WhatsApp conversations with AI from an event log: nothing lost, nothing twice.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.callback()(common)
app.command(epilog="Example: prosa dev --port 8080 --workers 3")(dev)
app.command(epilog='Example: prosa say "Olá!" --from whatsapp:+5511988887777')(say)
app.command(epilog="Example: prosa doctor --twilio --model")(doctor)
app.command(epilog="Example: prosa migrate --sql > prosa.sql")(migrate)
app.command(epilog="Example: prosa repair --dry-run")(repair)
app.command(epilog="Example: prosa simulator --port 8010 --ledger ledger.jsonl")(simulator)
app.command(epilog="Example: prosa status --watch")(status)
app.command(epilog="Example: prosa reconcile --since 2h --dry-run")(reconcile)
app.add_typer(conversations, name="conversations")
app.add_typer(clock, name="clock")
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(sends, name="sends")


def main() -> None:
    """The entry point: what the user can put right is a line on standard error; exit code 1, or that of wrong settings."""
    from development.errors import DevelopmentError
    from simulator.embedded_errors import ServerError

    log_to_standard_error()
    try:
        _require_text(sys.argv[1:])
        app()
    except FatalError as error:
        _complain(str(error), error.exit_code)
    except LogUnavailable as error:
        _complain(f"the log: {error}")
    except ReadModelUnavailable as error:
        _complain(f"the read model: {error}")
    except (ProsaError, DevelopmentError, ServerError, Complaint) as error:
        _complain(str(error))
    except aiohttp.ClientError as error:
        _complain(f"the simulator does not answer: {error}")
    except OSError as error:
        _complain(str(error))
    except _driver_refusals() as error:
        _complain(f"the database: {error}")


def _driver_refusals() -> type[Exception]:
    """What Postgres and its driver say of a value that no column can hold. The driver loads once something has gone wrong."""
    import asyncpg

    refusal: type[Exception] = asyncpg.DataError
    return refusal


def _require_text(arguments: list[str]) -> None:
    """Bytes that are no UTF-8 arrive as surrogates, which neither log nor Postgres take."""
    for number, argument in enumerate(arguments, 1):
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise Complaint(f"argument {number} is not valid text: it is to be UTF-8")


def _complain(sentences: str, exit_code: int = 1) -> None:
    for sentence in sentences.splitlines():
        complaints.print(printable(f"prosa: {sentence}"), style="red", markup=False, soft_wrap=True)
    raise SystemExit(exit_code) from None


if __name__ == "__main__":
    main()
