-- The events that opened the newest conversations of a thread, newest first; one that is not in the archive has no position.
SELECT conversations.id, conversations.owner, events.epoch, events.position
FROM conversations
LEFT JOIN LATERAL (
    SELECT epoch, position
    FROM events
    WHERE events.partition = $2 AND subject = $1 AND events.id = conversations.id
    ORDER BY epoch DESC, position DESC
    LIMIT 1
) AS events ON true
WHERE thread = $1
ORDER BY opened_at DESC, conversations.id DESC
LIMIT $3
