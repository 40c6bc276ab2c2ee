-- The newest messages of a conversation, and those that wait for an answer wherever they stand, oldest first.
WITH recent AS (
    SELECT id FROM messages WHERE conversation_id = $1 ORDER BY epoch DESC, position DESC LIMIT $3
)
SELECT messages.direction, messages.body, messages.event_id, messages.sid, replies.kind AS reply_kind
FROM messages
LEFT JOIN replies ON replies.id = messages.reply_id
WHERE messages.id IN (SELECT id FROM recent) OR messages.event_id = ANY ($2::text[])
ORDER BY messages.epoch, messages.position
