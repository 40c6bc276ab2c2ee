-- The policy in force at a position of a partition.
SELECT event::text AS event, NULL::text AS error,
       (extract(epoch FROM appended_at) * 1000)::bigint AS appended_at_ms,
       (extract(epoch FROM log_time) * 1000)::bigint AS log_time_ms
FROM events
WHERE epoch = $1 AND partition = $2 AND position <= $3 AND type = 'prosa.policy.changed.v1'
ORDER BY position DESC
LIMIT 1
