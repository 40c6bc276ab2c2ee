-- A message of which only a callback told makes room for what the sid turns out to be, on whichever thread, and nothing else does.
INSERT INTO messages (
    id, owner, thread, conversation_id, direction, sid, kind, body, status, error_code, at, profile_name, choice, media, event_id,
    reply_id, part, attempt, epoch, position
)
SELECT sid, owner, thread, conversation_id, direction, sid, kind, body, status, error_code, to_timestamp(at_ms / 1000.0), profile_name,
       choice, media::jsonb, event_id, reply_id, part, attempt, epoch, position
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::integer[], $10::bigint[],
    $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::integer[], $17::text[], $18::integer[], $19::bigint[]
) AS row (
    sid, owner, thread, conversation_id, direction, kind, body, status, error_code, at_ms, profile_name, choice, media, event_id,
    reply_id, part, attempt, epoch, position
)
ON CONFLICT (id) DO UPDATE SET
    owner = excluded.owner,
    thread = excluded.thread,
    conversation_id = excluded.conversation_id,
    direction = excluded.direction,
    kind = excluded.kind,
    body = excluded.body,
    status = excluded.status,
    error_code = excluded.error_code,
    at = excluded.at,
    profile_name = excluded.profile_name,
    choice = excluded.choice,
    media = excluded.media,
    event_id = excluded.event_id,
    reply_id = excluded.reply_id,
    part = excluded.part,
    attempt = excluded.attempt,
    epoch = CASE WHEN (messages.thread, messages.direction) = (excluded.thread, excluded.direction)
            THEN messages.epoch ELSE excluded.epoch END,
    position = CASE WHEN (messages.thread, messages.direction) = (excluded.thread, excluded.direction)
               THEN messages.position ELSE excluded.position END
WHERE messages.thread = excluded.thread
   OR (messages.direction = 'outbound' AND messages.reply_id IS NULL
       AND (excluded.direction = 'inbound' OR excluded.reply_id IS NOT NULL))
