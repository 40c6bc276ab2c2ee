-- Postgres limits the silence between two statements, and not that of a client within one: between its parse and its bind, or while
-- an answer is not read. A statement's own limit is put off there, and who was cut off is noticed after hours.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE backend_xid IN (SELECT xmax FROM checkpoints WHERE partition = ANY ($1::integer[]))
  AND usename = current_user
  AND wait_event_type = 'Client'
  AND state_change < clock_timestamp() - make_interval(secs => $2)
