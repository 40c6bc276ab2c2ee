-- The policy in force at a place of a partition.
SELECT policy.event::text AS event, NULL::text AS error,
       (extract(epoch FROM policy.appended_at) * 1000)::bigint AS appended_at_ms,
       (extract(epoch FROM policy.log_time) * 1000)::bigint AS log_time_ms
FROM generate_series($2::integer, 1, -1) AS generations (epoch)
CROSS JOIN LATERAL (
    SELECT event, appended_at, log_time
    FROM events
    WHERE events.epoch = generations.epoch AND partition = $1 AND (events.epoch < $2 OR position <= $3)
      AND type = 'prosa.policy.changed.v1'
    ORDER BY position DESC
    LIMIT 1
) AS policy
ORDER BY generations.epoch DESC
LIMIT 1
