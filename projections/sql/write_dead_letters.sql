INSERT INTO dead_letters (
    event_id, consumer_group, owner, thread, conversation_id, status, error, fingerprint, attempts, at
)
SELECT event, "group", owner, thread, conversation_id, status, error, fingerprint, attempts, to_timestamp(at_ms / 1000.0)
FROM json_to_recordset($1::json) AS row (
    event text, "group" text, owner text, thread text, conversation_id text, status text, error text, fingerprint text,
    attempts integer, at_ms bigint
)
ON CONFLICT (event_id, consumer_group) DO UPDATE SET
    status = excluded.status,
    conversation_id = excluded.conversation_id,
    error = excluded.error,
    fingerprint = excluded.fingerprint,
    attempts = excluded.attempts,
    at = excluded.at
