"""Print `docs/metrics.md` from the list of metrics: `make docs` writes it."""

import sys
from collections.abc import Iterator

from handlers.counting import BELIEVED_SECONDS, MISSED_COUNTS
from handlers.readiness import ANSWER_SECONDS, HUNG_SECONDS, SILENT_SECONDS
from handlers.ticker import LATE_SECONDS
from metrics import METRICS, OTHER, AnyMetric, Process
from projections.counts import EVERY_SECONDS, LARGEST_SHARE
from streams.lag import COUNTED

HEADING = f"""\
# Metrics and health

Written by `make docs` from the list in `metrics.py`; change that instead.

## Where

| process | address | how many |
|---|---|---|
| webhook | the webhook's own port | one per process |
| handlers | `METRICS_HOST`:`METRICS_PORT` + the worker's number | one per worker of `faststream run --workers` |
| clock | `METRICS_HOST`:`METRICS_PORT` | one; on the same machine as handlers it needs a port of its own |

Each serves `GET /metrics`, `/health/live` and `/health/ready`. **A proxy must publish `/webhooks/` and nothing else**: these
are for your own network. Nobody is asked for a password there, and `ready` names hosts.

## What to know

- Every process and worker tells of itself only: add up what counts (`sum`), and take the worst of what stands still (`max`).
- What the clock counts in the read model is the same for several clocks: take the `max`, never the `sum`. It is counted every
  {EVERY_SECONDS:g} s at most, and less often where that would take more than {LARGEST_SHARE:.0%} of all time. While Postgres
  is away `prosa_read_model_age_seconds` grows. What was counted is `NaN` once it is older than {BELIEVED_SECONDS:g} s, and than
  {MISSED_COUNTS} such pauses: it would hide what another clock sees. A scrape asks no server for anything.
- `NaN` or an absent series means unknown, never zero. Ages compare the log's stamps with the host's clock: hosts must keep time.
- `prosa_inbound_to_sent_seconds` is measured at the call that Twilio answered, once per reply. A replay or a rebuild sends
  nothing, so that it measures nothing; a send whose outcome was found out later is left out, since nobody knows its moment.
  What waited while something was down did wait, and counts. A development clock that was advanced meanwhile shows as waiting.
- `prosa_handler_seconds` is from the delivery of an event to its end: waiting for the projection, the quiet window, retries of a
  model and settling are part of it, and a turn that answers several messages at once is told for each.
- For the projector `prosa_lag_events` stops at {COUNTED} per partition; `prosa_lag_seconds` does not stop.
- A label takes one of the values below, and whatever is none of them is `{OTHER}`. No label holds an address, an id or a text.

## Health

`/health/live` is 200 while the loops of the process turn, also when everything around it is down: starting it again would
not help. A loop that has not turned for {HUNG_SECONDS:g} s, in a clock one tick longer, makes it 503. A process whose
event loop is stuck answers nothing at all; so give the check a timeout.

`/health/ready` is 200 while the process can do its work now, else 503 with the problems, each with what to look at. Both answer
`{{"status": "ok" | "unavailable", "problems": [...]}}`.

- **webhook**: the log is verified, and answers within the time that an append may take.
- **handlers**: log and Postgres answer within {ANSWER_SECONDS:g} s, with a schema that fits; leases were renewed and each
  group has read within {SILENT_SECONDS:g} s; no group is paused by its breaker; no partition waits for a newer version.
- **clock**: the log answers within {ANSWER_SECONDS:g} s; a tick stood in every partition within two of `CLOCK_TICK_SECONDS` and
  {LATE_SECONDS} s; the policy of the settings was compared with the log's.

## The list
"""


def lines() -> Iterator[str]:
    yield HEADING
    yield "| metric | kind | unit | labels | exported by | meaning |"
    yield "|---|---|---|---|---|---|"
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        by = "all" if set(metric.exported_by) == set(Process) else ", ".join(metric.exported_by)
        yield f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {by} | {metric.meaning} |"
    yield "\n## Labels and buckets\n"
    yield "| metric | label | values |"
    yield "|---|---|---|"
    for metric in METRICS:
        yield from _values(metric)
    yield ""


def _values(metric: AnyMetric) -> Iterator[str]:
    for label, values in metric.labels.items():
        told = values if isinstance(values, str) else ", ".join(f"`{value}`" for value in values)
        yield f"| `{metric.name}` | `{label}` | {told} |"
    if metric.buckets:
        yield f"| `{metric.name}` | `le` | {', '.join(f'{bound:g}' for bound in metric.buckets)} {metric.unit} |"


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()))
