-- What the gauges show of what waits: (what, label, value), each found by an index. The ages are by the log's clock.
WITH waiting AS (
    SELECT 'unanswered' AS what, awaits_answer_since_ms AS since_ms FROM threads WHERE awaits_answer_since_ms IS NOT NULL
    UNION ALL
    SELECT 'unsent', awaits_send_since_ms FROM threads WHERE awaits_send_since_ms IS NOT NULL
)
SELECT 'dead letters' AS what, consumer_group AS label, count(*)::float AS value FROM dead_letters WHERE status = 'open' GROUP BY consumer_group
UNION ALL
SELECT 'skipped events', '', count(*)::float FROM skipped_events
UNION ALL
SELECT 'unconfirmed replies', '', count(*)::float FROM replies WHERE status = 'unconfirmed'
UNION ALL
SELECT what, '', count(*)::float FROM waiting GROUP BY what
UNION ALL
SELECT 'oldest ' || what, '', (extract(epoch FROM prosa.log_time()) - min(since_ms) / 1000.0)::float FROM waiting GROUP BY what
