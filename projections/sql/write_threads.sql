INSERT INTO threads (thread, partition, owner, state, next_deadline_at_ms, awaits_answer_since_ms, awaits_send_since_ms)
SELECT thread, partition, owner, state, next_deadline_at_ms, awaits_answer_since_ms, awaits_send_since_ms
FROM json_to_recordset($1::json) AS row (
    thread text, partition integer, owner text, state json, next_deadline_at_ms bigint, awaits_answer_since_ms bigint,
    awaits_send_since_ms bigint
)
ON CONFLICT (thread) DO UPDATE SET
    state = excluded.state,
    next_deadline_at_ms = excluded.next_deadline_at_ms,
    awaits_answer_since_ms = excluded.awaits_answer_since_ms,
    awaits_send_since_ms = excluded.awaits_send_since_ms
