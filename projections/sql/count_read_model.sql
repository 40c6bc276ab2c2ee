-- What the gauges show: (what, label, value). The ages are by the clock of each partition, with its development offset.
WITH waiting AS (
    SELECT 'unanswered' AS what, partition, count(*) AS threads, min(awaits_answer_since_ms) AS since_ms
    FROM threads WHERE awaits_answer_since_ms IS NOT NULL GROUP BY partition
    UNION ALL
    SELECT 'unsent', partition, count(*), min(awaits_send_since_ms)
    FROM threads WHERE awaits_send_since_ms IS NOT NULL GROUP BY partition
)
SELECT 'conversations' AS what, status AS label, count(*)::float AS value FROM conversations GROUP BY status
UNION ALL
SELECT 'dead letters', consumer_group, count(*)::float FROM dead_letters WHERE status = 'open' GROUP BY consumer_group
UNION ALL
SELECT 'skipped events', '', count(*)::float FROM skipped_events
UNION ALL
SELECT 'unconfirmed replies', '', count(*)::float FROM replies WHERE status = 'unconfirmed'
UNION ALL
SELECT what, '', sum(threads)::float FROM waiting GROUP BY what
UNION ALL
SELECT 'oldest ' || what, '', max(extract(epoch FROM now()) + (clock_offset_ms - since_ms) / 1000.0)::float
FROM waiting JOIN checkpoints USING (partition) GROUP BY what
