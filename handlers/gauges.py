"""What stands still to be looked at: set anew whenever the metrics are asked for, from memory alone."""

import time
from collections.abc import Mapping
from math import nan

import metrics
from handlers.counting import CountedGauges, ProjectorLag
from handlers.groups import Groups
from handlers.reconciling import Reconciling
from handlers.ticker import Ticker
from streams.heartbeat import Heartbeat


def observe_groups(groups: Groups, projector_lag: ProjectorLag) -> None:
    """How the consumer groups of this worker stand. What it does not serve any more vanishes."""
    owned = groups.ownership.owned
    metrics.OWNED_PARTITIONS.of().set(len(owned))
    metrics.DECLINED_PARTITIONS.of().set(len(groups.ownership.declined))
    metrics.LEASE_RENEWAL_AGE_SECONDS.of().set(groups.ownership.seconds_since_renewal)
    for gauge in (metrics.LAG_EVENTS, metrics.LAG_SECONDS, metrics.READ_AGE_SECONDS):
        gauge.clear()
    for consumer in groups.consumers:
        if owned:
            metrics.READ_AGE_SECONDS.of(consumer.group).set(consumer.seconds_since_read)
        for partition, seconds in consumer.lag_seconds.items():
            metrics.LAG_SECONDS.of(consumer.group, partition).set(seconds)
    for group in (groups.responding, groups.sending):
        metrics.IN_FLIGHT.of(group.group).set(group.in_flight)
        _show_lag(group.group, group.lag)
    _show_lag(groups.projecting.group, projector_lag.events)
    for breaker in groups.breakers:
        metrics.BREAKER_OPEN.of(breaker.group).set(breaker.is_open)
    last_tick_ms = max(groups.respond.last_tick_ms, groups.send.last_tick_ms)
    metrics.TICK_AGE_SECONDS.of().set(time.time() - last_tick_ms / 1000 if owned and last_tick_ms else nan)
    _observe_loops(groups.heartbeats)


def observe_clock(
    ticker: Ticker, read_model: CountedGauges, conversations: CountedGauges, reconciling: Reconciling | None = None
) -> None:
    """How this clock stands."""
    if reconciling is not None:
        metrics.RECONCILIATION_AGE_SECONDS.of().set(reconciling.age_seconds)
    metrics.TICK_AGE_SECONDS.of().set(ticker.tick_age_seconds)
    read_model.forget_what_is_old()
    conversations.forget_what_is_old()
    metrics.READ_MODEL_AGE_SECONDS.of().set(read_model.age_seconds)
    _observe_loops((ticker.heartbeat,))


def _show_lag(group: str, lag: Mapping[int, int | None]) -> None:
    for partition, events in lag.items():
        if events is not None:
            metrics.LAG_EVENTS.of(group, partition).set(events)


def _observe_loops(heartbeats: tuple[Heartbeat, ...]) -> None:
    for heartbeat in heartbeats:
        metrics.LOOP_AGE_SECONDS.of(heartbeat.loop).set(heartbeat.silent_seconds)
