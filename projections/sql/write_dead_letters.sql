INSERT INTO dead_letters (
    event_id, consumer_group, owner, thread, conversation_id, status, error, fingerprint, attempts, at
)
SELECT event_id, consumer_group, owner, thread, conversation_id, status, error, fingerprint, attempts, to_timestamp(at_ms / 1000.0)
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::integer[], $10::bigint[]
) AS row (
    event_id, consumer_group, owner, thread, conversation_id, status, error, fingerprint, attempts, at_ms
)
ON CONFLICT (event_id, consumer_group) DO UPDATE SET
    status = excluded.status,
    conversation_id = excluded.conversation_id,
    error = excluded.error,
    fingerprint = excluded.fingerprint,
    attempts = excluded.attempts,
    at = excluded.at
