INSERT INTO replies (
    id, owner, thread, conversation_id, kind, status, event_id, at, answers, parts, closes, hands_off, model, replied_by
)
SELECT id, owner, thread, conversation_id, kind, status, event, to_timestamp(at_ms / 1000.0),
       ARRAY(SELECT json_array_elements_text(answers)), parts, closes, hands_off, model, by
FROM json_to_recordset($1::json) AS row (
    id text, owner text, thread text, conversation_id text, kind text, status text, event text, at_ms bigint, answers json,
    parts jsonb, closes boolean, hands_off boolean, model text, by text
)
ON CONFLICT (id) DO UPDATE SET
    status = excluded.status,
    parts = excluded.parts
