INSERT INTO threads (thread, partition, owner, state, next_deadline_at_ms, awaits_answer_since_ms, awaits_send_since_ms)
SELECT thread, partition, owner, state::json, next_deadline_at_ms, awaits_answer_since_ms, awaits_send_since_ms
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS row (thread, partition, owner, state, next_deadline_at_ms, awaits_answer_since_ms, awaits_send_since_ms)
ON CONFLICT (thread) DO UPDATE SET
    state = excluded.state,
    next_deadline_at_ms = excluded.next_deadline_at_ms,
    awaits_answer_since_ms = excluded.awaits_answer_since_ms,
    awaits_send_since_ms = excluded.awaits_send_since_ms
