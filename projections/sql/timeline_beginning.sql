-- The events that opened the newest conversations of a thread, newest first; an event of another epoch has no position.
SELECT conversations.id, conversations.owner, events.position
FROM conversations
LEFT JOIN LATERAL (
    SELECT position
    FROM events
    WHERE epoch = $2 AND events.partition = $3 AND subject = $1 AND events.id = conversations.id
    ORDER BY position DESC
    LIMIT 1
) AS events ON true
WHERE thread = $1
ORDER BY opened_at DESC, conversations.id DESC
LIMIT $4
