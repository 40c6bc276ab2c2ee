"""
Every metric of Prosa: its name, kind, unit, labels, meaning, and which process exports it.

A label takes its values from a fixed list, and whatever is not in the list counts as `other`; or from few values by nature, such
as a partition's number. No label ever names a thread, a person, a message or an error's text. `docs/metrics.md` is written from
this file.

The values are the process's own; `exposition` shows those that the list gives to it, and nothing else of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.metadata import version
from math import nan
from typing import Generic, TypeAlias, TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from streams.events import CATALOGUE as EVENTS
from streams.events import Rejection

OTHER = "other"
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Process(StrEnum):
    WEBHOOK = "webhook"
    HANDLERS = "handlers"
    CLOCK = "clock"


Collector = TypeVar("Collector", Counter, Gauge, Histogram)
Values: TypeAlias = tuple[str, ...] | str
"""All values of a label, or what its few values are."""


@dataclass(frozen=True, slots=True)
class Metric(Generic[Collector]):
    """One entry of the list. `collector` holds its values."""

    collector: Collector
    name: str
    unit: str
    meaning: str
    exported_by: tuple[Process, ...]
    labels: Mapping[str, Values] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    _known: dict[tuple[object, ...], Collector] = field(default_factory=dict, compare=False, repr=False)

    @property
    def kind(self) -> str:
        """As Prometheus calls it."""
        return type(self.collector).__name__.lower()

    def of(self, *values: object) -> Collector:
        """What counts for these labels, given in the order of the list."""
        return self._known.get(values) or self._found(values)

    def clear(self) -> None:
        """Forget every value under labels."""
        self._known.clear()
        self.collector.clear()

    def _found(self, values: tuple[object, ...]) -> Collector:
        """Only what is listed is remembered: whatever else callers come with may be without end."""
        if not self.labels:
            return self._known.setdefault((), self.collector)
        listed = tuple(map(_listed, values, self.labels.values()))
        found = self.collector.labels(*listed)
        return self._known.setdefault(values, found) if listed == values else found


AnyMetric: TypeAlias = Metric[Counter] | Metric[Gauge] | Metric[Histogram]


def _listed(value: object, values: Values) -> object:
    return value if isinstance(values, str) or value in values else OTHER


def _counter(name: str, unit: str, meaning: str, *by: Process, **labels: Values) -> Metric[Counter]:
    """Under a single listed label every value begins at 0: Prometheus sees no increase where a series begins at 1."""
    metric = Metric(Counter(name, meaning, tuple(labels), registry=None), name, unit, meaning, by, labels)
    if len(labels) == 1:
        [values] = labels.values()
        for value in () if isinstance(values, str) else values:
            metric.of(value)
    return metric


def _gauge(name: str, unit: str, meaning: str, *by: Process, at_first: float = nan, **labels: Values) -> Metric[Gauge]:
    """What is not known yet is not 0."""
    gauge = Gauge(name, meaning, tuple(labels), registry=None)
    if not labels:
        gauge.set(at_first)
    return Metric(gauge, name, unit, meaning, by, labels)


def _histogram(
    name: str, unit: str, meaning: str, *by: Process, buckets: tuple[float, ...], **labels: Values
) -> Metric[Histogram]:
    collector = Histogram(name, meaning, tuple(labels), registry=None, buckets=buckets)
    return Metric(collector, name, unit, meaning, by, labels, buckets)


# ---------------------------------------------------------------------------------------------------- values of labels

WEBHOOK, HANDLERS, CLOCK = Process
EVERYWHERE = (WEBHOOK, HANDLERS, CLOCK)

GROUPS = ("projector", "responder", "sender")
HANDLING = ("responder", "sender")
PARTITION = "a partition's number"
CODE = "Twilio's error code where `handlers/error_table.py` knows it, `other`, or `none`"
MODEL = "as AI_MODEL and AI_FALLBACK_MODELS name it"

MILLISECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
PATIENCE = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
COUNTS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

# ------------------------------------------------------------------------------------------------------------ the door

WEBHOOK_SECONDS = _histogram(
    "prosa_webhook_seconds",
    "seconds",
    "From a webhook's whole request to its answer; `stored` is durable.",
    WEBHOOK,
    endpoint=("/webhooks/twilio/messages", "/webhooks/twilio/status"),
    result=("stored", "forbidden", "malformed", "unavailable"),
    buckets=MILLISECONDS,
)
WEBHOOK_REFUSED = _counter(
    "prosa_webhook_refused_total",
    "requests",
    "Requests that were over a limit and not looked at.",
    WEBHOOK,
    limit=("too_large", "too_slow"),
)

# ------------------------------------------------------------------------------------------------------------- the log

APPEND_SECONDS = _histogram(
    "prosa_append_seconds",
    "seconds",
    "One append to the log, until the event was durable or the try had failed.",
    *EVERYWHERE,
    appender=("webhook", "responder", "sender", "clock", "reconciler"),
    result=("durable", "failed"),
    buckets=MILLISECONDS,
)
EVENTS_APPENDED = _counter(
    "prosa_events_appended_total",
    "events",
    "Events made durable, by what they say: a tick is `clock.ticked`, what was given up `event.dead_lettered` or `reply.failed`.",
    *EVERYWHERE,
    type=tuple(EVENTS),
)
LOG_ERRORS = _counter(
    "prosa_log_errors_total",
    "errors",
    "Commands to the log that failed; capitals are the server's own code.",
    *EVERYWHERE,
    error=("no connection", "TimeoutError", "LOADING", "READONLY", "MISCONF", "OOM", "NOAUTH", "WRONGPASS", "NOREPLICAS"),
)
POSTGRES_ERRORS = _counter(
    "prosa_postgres_errors_total",
    "errors",
    "Transactions that failed: Postgres was away, lacks a migration, or refused us.",
    HANDLERS,
    CLOCK,
    error=("unavailable", "outdated", "misconfigured"),
)

# ---------------------------------------------------------------------------------------------------- consumer groups

LAG_EVENTS = _gauge(
    "prosa_lag_events",
    "events",
    "Entries of the partition that the group has not finished, some seconds ago; absent where unknown.",
    HANDLERS,
    group=GROUPS,
    partition=PARTITION,
)
LAG_SECONDS = _gauge(
    "prosa_lag_seconds",
    "seconds",
    "Age of the oldest event of the partition that the group has not finished; 0 where there is none.",
    HANDLERS,
    group=GROUPS,
    partition=PARTITION,
)
IN_FLIGHT = _gauge(
    "prosa_in_flight_events",
    "events",
    "Events handed to the group's handler and not finished.",
    HANDLERS,
    group=HANDLING,
)
READ_AGE_SECONDS = _gauge(
    "prosa_read_age_seconds",
    "seconds",
    "Since the group last read the log, or gained its first partition; absent where the worker owns none.",
    HANDLERS,
    group=GROUPS,
)
OWNED_PARTITIONS = _gauge("prosa_owned_partitions", "partitions", "Partitions that this worker holds a lease on.", HANDLERS)
DECLINED_PARTITIONS = _gauge(
    "prosa_declined_partitions",
    "partitions",
    "Partitions left to a newer version, since they hold events of one.",
    HANDLERS,
)
PARTITIONS_GAINED = _counter(
    "prosa_partitions_gained_total",
    "partitions",
    "Partitions taken: after a `handover`, or after a `lapse` where their owner ended, or was lost, without giving them back.",
    HANDLERS,
    after=("handover", "lapse"),
)
LEASES_LOST = _counter("prosa_leases_lost_total", "leases", "Leases that lapsed, or were found to be another's.", HANDLERS)
LEASE_RENEWAL_AGE_SECONDS = _gauge(
    "prosa_lease_renewal_age_seconds",
    "seconds",
    "Since the leases were last renewed; normal is up to a quarter of LEASE_SECONDS.",
    HANDLERS,
)
HANDLER_SECONDS = _histogram(
    "prosa_handler_seconds",
    "seconds",
    "One try of a handler at one event; `unavailable` is tried again, `cancelled` lost its partition meanwhile.",
    HANDLERS,
    group=HANDLING,
    result=("done", "failed", "unavailable", "fatal", "cancelled"),
    buckets=SECONDS,
)
RETRIES = _counter("prosa_retries_total", "tries", "Tries again of an event, after a failure.", HANDLERS, group=HANDLING)
FAILED_ATTEMPTS = _counter(
    "prosa_failed_attempts_total",
    "attempts",
    "Failures that count towards the dead letter of their event.",
    HANDLERS,
    group=HANDLING,
)
BREAKER_OPEN = _gauge(
    "prosa_breaker_open",
    "groups",
    "1 while the group is paused because everything fails.",
    HANDLERS,
    group=HANDLING,
)

# ------------------------------------------------------------------------------------------------------- the projector

PROJECTOR_BATCH_SECONDS = _histogram(
    "prosa_projector_batch_seconds",
    "seconds",
    "Folding and committing one batch.",
    HANDLERS,
    buckets=MILLISECONDS,
)
PROJECTOR_BATCH_EVENTS = _histogram(
    "prosa_projector_batch_events",
    "events",
    "Events of one batch; their sum is what was projected.",
    HANDLERS,
    buckets=COUNTS,
)

# ------------------------------------------------------------------------------------------------------------- answers

MODEL_SECONDS = _histogram(
    "prosa_model_seconds",
    "seconds",
    "One request to a model; `cancelled` ran out of its time or its partition was given up.",
    HANDLERS,
    model=MODEL,
    result=("answered", "failed", "refused", "cancelled"),
    buckets=SECONDS,
)
MODEL_ERRORS = _counter(
    "prosa_model_errors_total",
    "errors",
    "Requests to a model without a usable answer.",
    HANDLERS,
    model=MODEL,
    error=(
        *("timeout", "connection", "empty", "invalid_answer", "token_limit", "quota", "content_filter"),
        *(f"http_{status}" for status in (400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 501, 502, 503, 504, 529)),
    ),
)
MODEL_TOKENS = _counter(
    "prosa_model_tokens_total",
    "tokens",
    "Tokens of answered requests, as the model counts them.",
    HANDLERS,
    model=MODEL,
    direction=("input", "output"),
)

# ------------------------------------------------------------------------------------------------------------- sending

INBOUND_TO_SENT_SECONDS = _histogram(
    "prosa_inbound_to_sent_seconds",
    "seconds",
    "From the append of the oldest message that a reply answers to Twilio's acceptance of its first part, in log time.",
    HANDLERS,
    reply=("answer", "person"),
    buckets=PATIENCE,
)
SEND_OUTCOMES = _counter(
    "prosa_send_outcomes_total",
    "attempts",
    "What came of sends. `sent`: Twilio took it; `rejected`: given up; `disproved`: surely not sent, and tried again.",
    HANDLERS,
    outcome=("sent", "rejected", "disproved", "unconfirmed", "cancelled"),
    code=CODE,
    reason=(*Rejection, "none"),
)
TWILIO_SECONDS = _histogram(
    "prosa_twilio_seconds",
    "seconds",
    "One call to Twilio; GET looks for what became of a send.",
    HANDLERS,
    method=("GET", "POST"),
    result=("2xx", "3xx", "4xx", "5xx", "no_answer"),
    buckets=SECONDS,
)
SENDS_SETTLING = _gauge(
    "prosa_sends_settling",
    "attempts",
    "Sends of unknown outcome that this worker looks for at Twilio now.",
    HANDLERS,
    at_first=0,
)

# ------------------------------------------------------------------------------------ the read model, told by the clock

CONVERSATIONS = _gauge(
    "prosa_conversations",
    "conversations",
    "Conversations by status.",
    CLOCK,
    status=("pending", "active", "idle", "handoff", "expired", "closed"),
)
UNANSWERED_CONVERSATIONS = _gauge(
    "prosa_unanswered_conversations",
    "conversations",
    "Conversations with a message that the AI has yet to answer.",
    CLOCK,
)
OLDEST_UNANSWERED_AGE_SECONDS = _gauge(
    "prosa_oldest_unanswered_age_seconds",
    "seconds",
    "Age of the message that has waited longest for the AI; 0 where none waits.",
    CLOCK,
)
UNSENT_CONVERSATIONS = _gauge(
    "prosa_unsent_conversations",
    "conversations",
    "Conversations with an accepted reply that has yet to be sent.",
    CLOCK,
)
OLDEST_UNSENT_AGE_SECONDS = _gauge(
    "prosa_oldest_unsent_age_seconds",
    "seconds",
    "Age of the accepted reply that has waited longest; 0 where none waits.",
    CLOCK,
)
UNCONFIRMED_REPLIES = _gauge(
    "prosa_unconfirmed_replies",
    "replies",
    "Replies of which nobody knows whether they were sent; a person decides.",
    CLOCK,
)
DEAD_LETTERS = _gauge(
    "prosa_dead_letters",
    "events",
    "Open dead letters, by the group that gave them up.",
    CLOCK,
    group=HANDLING,
)
SKIPPED_EVENTS = _gauge("prosa_skipped_events", "events", "Poison that the projector recorded and passed over.", CLOCK)
READ_MODEL_AGE_SECONDS = _gauge(
    "prosa_read_model_age_seconds",
    "seconds",
    "Since the clock last counted what waits in the read model; conversations by status are counted apart.",
    CLOCK,
)

# ------------------------------------------------------------------------------------------------------- the reconciler

RECONCILED_MESSAGES = _counter(
    "prosa_reconciled_messages_total",
    "messages",
    "Messages that Twilio held and no webhook had brought, appended by the clock's reconciler.",
    CLOCK,
)
RECONCILIATION_AGE_SECONDS = _gauge(
    "prosa_reconciliation_age_seconds",
    "seconds",
    "Since Twilio's list was last compared with the log as a whole, or since the clock's start; unknown where it never is.",
    CLOCK,
)

# --------------------------------------------------------------------------------------------------- signs of life

TICK_AGE_SECONDS = _gauge(
    "prosa_tick_age_seconds",
    "seconds",
    "Since the last tick: of a clock, since it last stood in every partition; of a worker, since one last reached a group.",
    HANDLERS,
    CLOCK,
)
LOOP_AGE_SECONDS = _gauge(
    "prosa_loop_age_seconds",
    "seconds",
    "Since a loop last turned; a loop that hangs makes /health/live answer 503.",
    HANDLERS,
    CLOCK,
    loop=(*(f"{group} reads" for group in GROUPS), *(f"{group} commits" for group in HANDLING), "leases", "ticks"),
)
BUILD_INFO = _gauge("prosa_build_info", "builds", "1, with the version that runs.", *EVERYWHERE, version="the version")

# ------------------------------------------------------------------------------------------------------------ exporting

METRICS: tuple[AnyMetric, ...] = tuple(each for each in list(globals().values()) if isinstance(each, Metric))
"""The list, in the order of this file."""


def exposition(process: Process) -> bytes:
    """What this process exports, in Prometheus's text format: its metrics of the list, and Python's own."""
    return generate_latest(_registry(process))


@cache
def _registry(process: Process) -> CollectorRegistry:
    disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, which nobody reads
    BUILD_INFO.of(version("prosa")).set(1)
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    for metric in METRICS:
        if process in metric.exported_by:
            registry.register(metric.collector)
    return registry
