INSERT INTO conversations (
    id, owner, thread, partition, status, closed_by, opened_at, last_activity_at, next_deadline_at, ended_at, taken_by,
    previous_conversation_id
)
SELECT id, owner, thread, partition, status, closed_by, to_timestamp(opened_at_ms / 1000.0), to_timestamp(last_activity_at_ms / 1000.0),
       to_timestamp(next_deadline_at_ms / 1000.0), to_timestamp(ended_at_ms / 1000.0), taken_by, previous_conversation_id
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],
    $11::text[], $12::text[]
) AS row (
    id, owner, thread, partition, status, closed_by, opened_at_ms, last_activity_at_ms, next_deadline_at_ms, ended_at_ms, taken_by,
    previous_conversation_id
)
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status,
    closed_by = excluded.closed_by,
    last_activity_at = excluded.last_activity_at,
    next_deadline_at = excluded.next_deadline_at,
    ended_at = excluded.ended_at,
    taken_by = excluded.taken_by
