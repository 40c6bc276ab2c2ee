-- The few entries that steer a partition's clock and rules, among all its ticks; and the few sends that nobody can tell about.

CREATE INDEX events_steering ON prosa.events (partition, position)
    WHERE type IN ('prosa.clock.advanced.v1', 'prosa.policy.changed.v1');

CREATE INDEX replies_unconfirmed ON prosa.replies (thread) WHERE status = 'unconfirmed';
