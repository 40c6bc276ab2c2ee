-- What waits for somebody, how much of it there is, and how old its oldest is by the log's clock.
WITH waiting AS (
    SELECT 'unanswered by the AI' AS kind, awaits_answer_since_ms AS since_ms
    FROM threads
    WHERE awaits_answer_since_ms IS NOT NULL
    UNION ALL
    SELECT 'unanswered by a person', (threads.state -> 'unanswered' -> 0 ->> 'at_ms')::bigint
    FROM conversations
    JOIN threads USING (thread)
    WHERE conversations.status = 'handoff' AND json_array_length(threads.state -> 'unanswered') > 0
    UNION ALL
    SELECT 'unsent', awaits_send_since_ms
    FROM threads
    WHERE awaits_send_since_ms IS NOT NULL
    UNION ALL
    SELECT 'unconfirmed', (extract(epoch FROM at) * 1000)::bigint
    FROM replies
    WHERE status = 'unconfirmed'
    UNION ALL
    SELECT 'dead letters of the ' || consumer_group, (extract(epoch FROM at) * 1000)::bigint
    FROM dead_letters
    WHERE status = 'open'
)
SELECT kind, count(*) AS number, greatest((extract(epoch FROM prosa.log_time()) * 1000)::bigint - min(since_ms), 0) AS oldest_ms
FROM waiting
GROUP BY kind
UNION ALL
SELECT 'skipped', count(*), NULL FROM skipped_events
