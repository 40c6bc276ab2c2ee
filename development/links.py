"""What to open and what to type, shown when everything runs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from development.commands import data_option, prosa_command, shown
from development.plan import READY, Plan, url


@dataclass(frozen=True, slots=True)
class Link:
    """One row: what it is, what to type or open, and what for."""

    title: str
    value: str
    meaning: str = ""


def links(plan: Plan, addresses: Mapping[str, str]) -> Iterator[Link]:
    """Where everything is; passwords stand in a file that only its owner may read."""
    prosa, data = prosa_command(), data_option(plan.directory)
    yield Link("In a second terminal", f'{prosa} say "Olá!"{data}', "write to it from here")
    yield Link("", f"{prosa} status{data}", "how everything is")
    yield Link("", f"{prosa} doctor{data}", "what is missing, and what to do")
    yield Link("", "")
    yield Link("Webhook", f"{plan.webhook_url}{READY}")
    yield Link("Metrics", f"{plan.webhook_url}/metrics", "webhook")
    for number, port in enumerate(plan.worker_metrics, start=1):
        yield Link("", url(port, "/metrics"), f"handlers {number}" if plan.workers > 1 else "handlers")
    yield Link("", url(plan.clock_metrics, "/metrics"), "clock")
    yield Link("Postgres", _without_password(addresses["DATABASE_URL"]))
    yield Link("Valkey", _without_password(addresses["REDIS_URL"]))
    yield Link("Their passwords", shown(plan.directory.addresses_file))


def aligned(rows: Iterable[Link]) -> list[str]:
    """The rows as lines, with each column below the other."""
    rows = list(rows)
    title, value = max(len(row.title) for row in rows), max(len(row.value) for row in rows if row.meaning)
    return [f"  {row.title:<{title}}  {row.value:<{value}}  {row.meaning}".rstrip() for row in rows]


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    user = f"{parts.username}@" if parts.username else ""
    return parts._replace(netloc=f"{user}{parts.hostname}:{parts.port}").geturl()
