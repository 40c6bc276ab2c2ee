-- What concerns a thread between two positions, in the order of the log: its own events, and what steers its partition.
-- Ticks are left out: there may be millions, and the thread's deadlines tell as much.
WITH found AS (
    SELECT position, appended_at, log_time, event
    FROM events
    WHERE epoch = $1 AND partition = $2 AND subject = $3 AND position > $4 AND position <= $5
    UNION ALL
    SELECT position, appended_at, log_time, event
    FROM events
    WHERE epoch = $1 AND partition = $2 AND position > $4 AND position <= $5
      AND type IN ('prosa.clock.advanced.v1', 'prosa.policy.changed.v1')
)
SELECT found.position, found.event::text AS event, skipped.error,
       (extract(epoch FROM found.appended_at) * 1000)::bigint AS appended_at_ms,
       (extract(epoch FROM found.log_time) * 1000)::bigint AS log_time_ms
FROM found
LEFT JOIN skipped_events AS skipped
    ON skipped.epoch = $1 AND skipped.partition = $2 AND skipped.position = found.position AND skipped.thread = $3
ORDER BY found.position
