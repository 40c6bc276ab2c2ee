"""`prosa simulator`: the stand-in for Twilio, with the conversations beside its phones."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from commands import numbers
from commands.terminal import console

MESSAGES = "/webhooks/twilio/messages"
DEFAULT_PORT = 9000


def simulator(
    host: Annotated[str, typer.Option(help="Where it listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Its port; the phone page is at /.")] = DEFAULT_PORT,
    sender: Annotated[str | None, typer.Option(help="Our WhatsApp address.", show_default="TWILIO_SENDER")] = None,
    inbound_url: Annotated[
        str | None, typer.Option(help="Where inbound messages are posted.", show_default="the webhook of PUBLIC_BASE_URL")
    ] = None,
    inbound_public_url: Annotated[str | None, typer.Option(help="The address that is signed, where it differs.")] = None,
    fallback_url: Annotated[str | None, typer.Option(help="Where an inbound message goes when the webhook failed.")] = None,
    status_url: Annotated[str | None, typer.Option(help="Where statuses go that have no callback of their own.")] = None,
    cdn_url: Annotated[str | None, typer.Option(help="The host that media redirect to.")] = None,
    messaging_service_sid: Annotated[str | None, typer.Option(help="The messaging service that creates may name.")] = None,
    rewrites: Annotated[
        list[str] | None, typer.Option("--rewrite", metavar="PUBLIC=LOCAL", help="Post PUBLIC... to LOCAL...; may be repeated.")
    ] = None,
    advanced_opt_out: Annotated[bool, typer.Option("--advanced-opt-out", help="STOP opts a contact out.")] = False,
    sent_after: Annotated[float, numbers.seconds("From accepted to sent.", metavar="SECONDS")] = 0.2,
    delivered_after: Annotated[float, numbers.seconds("From sent to delivered.", metavar="SECONDS")] = 0.3,
    read_after: Annotated[float, numbers.seconds("From delivered to read.", metavar="SECONDS")] = 1.0,
    window_hours: Annotated[float, numbers.hours("How long a contact may be answered freely.")] = 24.0,
    seed: Annotated[int, typer.Option(help="Of the faults.")] = 0,
    ledger: Annotated[Path | None, typer.Option(help="The file that brings messages back after a restart.")] = None,
    open_control: Annotated[
        bool, typer.Option("--open-control", help="For a container: whoever reaches the port may use page and control plane.")
    ] = False,
) -> None:
    """
    Run a stand-in for Twilio with a phone for every contact, and beside each phone the conversation as it is in the read model.

    Everything about the system itself comes from the settings; it works while the log and Postgres are away, and says so. It does
    not run with ENVIRONMENT=production: whoever reaches the page speaks for every contact, and acts as a person.
    """
    from commands.beside_phones import BesidePhones
    from settings import Environment, load_settings
    from simulator.serving import serve
    from simulator.settings import SimulatorSettings, StageDelays
    from simulator.twilio_api import create_app
    from streams.errors import ConfigurationError

    settings = load_settings()
    if settings.environment is Environment.PRODUCTION:
        raise ConfigurationError("ENVIRONMENT is production, where nobody stands in for Twilio")
    simulated = SimulatorSettings(
        account_sid=settings.twilio_account_sid,
        auth_token=settings.twilio_auth_token[0].get_secret_value(),
        sender=sender or settings.twilio_sender,
        messaging_service_sid=messaging_service_sid,
        inbound_url=inbound_url or f"{settings.public_base_url}{MESSAGES}",
        inbound_public_url=inbound_public_url,
        fallback_url=fallback_url,
        status_default_url=status_url,
        cdn_url=cdn_url,
        rewrites=dict(_rewrite(each) for each in rewrites or ()),
        has_advanced_opt_out=advanced_opt_out,
        delays=StageDelays(sent_after, delivered_after, read_after),
        window_hours=window_hours,
        seed=seed,
        ledger_path=ledger,
        is_control_open=open_control,
    )
    if sys.stdout.isatty():
        console.print(f"The phones are at http://{host}:{port}/; Ctrl-C stops it.", soft_wrap=True)
    serve(create_app(simulated, BesidePhones(settings, simulated.sender).beside), host, port)


def _rewrite(text: str) -> tuple[str, str]:
    public, separator, local = text.partition("=")
    if not (public and separator and local):
        raise typer.BadParameter("give PUBLIC=LOCAL", param_hint="--rewrite")
    return public, local
