INSERT INTO conversations (
    id, owner, thread, partition, status, closed_by, opened_at, last_activity_at, next_deadline_at, ended_at, taken_by,
    previous_conversation_id
)
SELECT id, owner, thread, partition, status, closed_by, to_timestamp(opened_at_ms / 1000.0), to_timestamp(last_activity_at_ms / 1000.0),
       to_timestamp(next_deadline_at_ms / 1000.0), to_timestamp(ended_at_ms / 1000.0), taken_by, previous_conversation_id
FROM json_to_recordset($1::json) AS row (
    id text, owner text, thread text, partition integer, status text, closed_by text, opened_at_ms bigint,
    last_activity_at_ms bigint, next_deadline_at_ms bigint, ended_at_ms bigint, taken_by text, previous_conversation_id text
)
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status,
    closed_by = excluded.closed_by,
    last_activity_at = excluded.last_activity_at,
    next_deadline_at = excluded.next_deadline_at,
    ended_at = excluded.ended_at,
    taken_by = excluded.taken_by
