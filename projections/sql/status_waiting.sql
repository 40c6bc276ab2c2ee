-- What waits for somebody, how much of it there is, and how old its oldest is by the log's clock.
WITH clock AS (
    SELECT partition,
           appended_at_ms + clock_offset_ms + (extract(epoch FROM clock_timestamp() - updated_at) * 1000)::bigint AS now_ms
    FROM checkpoints
), waiting AS (
    SELECT 'unanswered by the AI' AS kind, clock.now_ms - threads.awaits_answer_since_ms AS age_ms
    FROM threads
    JOIN clock USING (partition)
    WHERE threads.awaits_answer_since_ms IS NOT NULL
    UNION ALL
    SELECT 'unanswered by a person', clock.now_ms - (threads.state -> 'unanswered' -> 0 ->> 'at_ms')::bigint
    FROM conversations
    JOIN threads USING (thread)
    JOIN clock ON clock.partition = threads.partition
    WHERE conversations.status = 'handoff' AND json_array_length(threads.state -> 'unanswered') > 0
    UNION ALL
    SELECT 'unsent', clock.now_ms - threads.awaits_send_since_ms
    FROM threads
    JOIN clock USING (partition)
    WHERE threads.awaits_send_since_ms IS NOT NULL
    UNION ALL
    SELECT 'unconfirmed', clock.now_ms - (extract(epoch FROM replies.at) * 1000)::bigint
    FROM replies
    JOIN threads USING (thread)
    JOIN clock USING (partition)
    WHERE replies.status = 'unconfirmed'
    UNION ALL
    SELECT 'dead letters of the ' || dead_letters.consumer_group, clock.now_ms - (extract(epoch FROM dead_letters.at) * 1000)::bigint
    FROM dead_letters
    JOIN threads USING (thread)
    JOIN clock USING (partition)
    WHERE dead_letters.status = 'open'
)
SELECT kind, count(*) AS number, greatest(max(age_ms), 0) AS oldest_ms FROM waiting GROUP BY kind
UNION ALL
SELECT 'skipped', count(*), NULL FROM skipped_events
