INSERT INTO replies (
    id, owner, thread, conversation_id, kind, status, event_id, at, answers, parts, closes, hands_off, model, replied_by
)
SELECT id, owner, thread, conversation_id, kind, status, event_id, to_timestamp(at_ms / 1000.0),
       ARRAY(SELECT json_array_elements_text(answers::json)), parts::jsonb, closes, hands_off, model, replied_by
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::text[],
    $11::boolean[], $12::boolean[], $13::text[], $14::text[]
) AS row (
    id, owner, thread, conversation_id, kind, status, event_id, at_ms, answers, parts, closes, hands_off, model, replied_by
)
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status,
    parts = excluded.parts
