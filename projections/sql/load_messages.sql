SELECT sid, thread, direction, status, (extract(epoch FROM at) * 1000)::bigint AS at_ms, event_id AS event, conversation_id, kind, body,
       error_code, reply_id, part, attempt, profile_name, choice, media::text AS media
FROM messages
WHERE id = ANY ($1::text[])
