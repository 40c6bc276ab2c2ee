"""Print `docs/configuration.md` from the settings: `make docs` writes it."""

import sys
from collections.abc import Iterator

from pydantic.fields import FieldInfo

from settings.accepted import accepted, is_secret, written
from settings.production import SHORTEST_SECRET
from settings.sections import SECTIONS
from streams.errors import EX_CONFIG

HEADING = f"""\
# Configuration

Written by `make docs` from the settings themselves; change `settings/sections.py` instead.

- Each setting is an environment variable. `.env` in the working directory is read too, as UTF-8; the environment wins. An
  empty value counts as not given, so that `none` stands for emptiness where a setting says so. A name in `.env` that is
  close to a setting's and is none is told at the start. A value with a space stands in single quotes, which a shell,
  `prosa` and docker compose take off, and `docker run --env-file` does not.
- Settings are read once, at the start of each process. A wrong one is told in one line by its name, never with its value,
  all of them at once; the process ends with exit code {EX_CONFIG}, since starting it again would not help.
- Durations have an upper bound, so that no date that follows from one leaves the calendar: a year for what conversations
  wait for, an hour for most of what processes wait for.
- With `ENVIRONMENT=production` a process refuses to start with `SECRET_KEY` or `TWILIO_AUTH_TOKEN` missing, default or
  shorter than {SHORTEST_SECRET} characters, without `TWILIO_ACCOUNT_SID`, with a `PUBLIC_BASE_URL` that is not https, and on
  a Redis that could lose what it acknowledged. `prosa migrate` needs `DATABASE_URL` only.
- A command speaks to the system of these settings if `REDIS_URL` or `DATABASE_URL` is set in the environment itself, or
  `ENVIRONMENT=production` in the environment or in `.env`. Else, where `prosa dev` runs in `.prosa`, it speaks to that run,
  with the run's addresses before those of `.env`, and says so on standard error, unless it prints JSON. Where a run has
  stopped there, that run is still meant, unless `.env` gives one of the two an address that is not its default: a copy of
  `.env.example` names no other system. `--data` names the directory of the run that is meant, whatever is set; `prosa say`
  always speaks to a run.
- `prosa doctor` checks all of it against the running system, and says for each finding what to do.

🔒 marks what is a secret, or an address that may hold one: it is never logged or shown.
"""


def lines() -> Iterator[str]:
    yield HEADING
    for title, section in SECTIONS.items():
        yield f"## {title}\n"
        yield f"{section.__doc__}\n"
        yield "| setting | default | accepts | meaning |"
        yield "|---|---|---|---|"
        for name, field in section.model_fields.items():
            yield _row(name, field)
        yield ""


def _row(name: str, field: FieldInfo) -> str:
    default = written(field.default)
    cells = [f"`{name.upper()}`{' 🔒' if is_secret(field) else ''}", f"`{default}`" if default else "", accepted(field)]
    return f"| {' | '.join([*cells, str(field.description)])} |"


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()))
