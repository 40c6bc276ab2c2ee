-- What concerns a thread between two places, in the order of the log: its own events, and what steers its partition.
-- Ticks are left out: there may be millions, and the thread's deadlines tell as much.
WITH generations AS (
    SELECT epoch,
           CASE WHEN epoch = $3 THEN $4::bigint ELSE 0 END AS after,
           CASE WHEN epoch = $5 THEN $6::bigint ELSE 9223372036854775807 END AS until
    FROM generate_series($3::integer, $5::integer) AS epoch
), found AS (
    SELECT own.*
    FROM generations
    CROSS JOIN LATERAL (
        SELECT epoch, position, appended_at, log_time, event
        FROM events
        WHERE epoch = generations.epoch AND partition = $1 AND subject = $2 AND position > after AND position <= until
        UNION ALL
        SELECT epoch, position, appended_at, log_time, event
        FROM events
        WHERE epoch = generations.epoch AND partition = $1 AND position > after AND position <= until
          AND type IN ('prosa.clock.advanced.v1', 'prosa.policy.changed.v1')
    ) AS own
)
SELECT found.position, found.event::text AS event, skipped.error,
       (extract(epoch FROM found.appended_at) * 1000)::bigint AS appended_at_ms,
       (extract(epoch FROM found.log_time) * 1000)::bigint AS log_time_ms
FROM found
LEFT JOIN skipped_events AS skipped
    ON skipped.epoch = found.epoch AND skipped.partition = $1 AND skipped.position = found.position AND skipped.thread = $2
ORDER BY found.epoch, found.position
