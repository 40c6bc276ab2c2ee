INSERT INTO messages (
    id, owner, thread, conversation_id, direction, sid, kind, body, status, error_code, at, profile_name, choice, media, event_id,
    reply_id, part, attempt, epoch, position
)
SELECT sid, owner, thread, conversation_id, direction, sid, kind, body, status, error_code, to_timestamp(at_ms / 1000.0), profile_name,
       choice, media, event, reply_id, part, attempt, epoch, position
FROM json_to_recordset($1::json) AS row (
    sid text, owner text, thread text, conversation_id text, direction text, kind text, body text, status text, error_code integer,
    at_ms bigint, profile_name text, choice text, media jsonb, event text, reply_id text, part integer, attempt text, epoch integer,
    position bigint
)
ON CONFLICT (id) DO UPDATE SET
    conversation_id = excluded.conversation_id,
    body = excluded.body,
    status = excluded.status,
    error_code = excluded.error_code,
    at = excluded.at,
    event_id = excluded.event_id,
    reply_id = excluded.reply_id,
    part = excluded.part,
    attempt = excluded.attempt
