-- Conversations as a person sees them, the most recently active first; what waits in them is known of those that are a thread's newest.
-- closer is the person who closed one: the archive has the name, in the event at the moment of the end.
WITH found AS (
    SELECT *
    FROM conversations
    WHERE ($1::text[] IS NULL OR status = ANY ($1)) AND ($2::text IS NULL OR owner = $2) AND ($3::text[] IS NULL OR id = ANY ($3))
    ORDER BY last_activity_at DESC, id DESC
    LIMIT $4
    OFFSET $5
)
SELECT found.id, found.owner, found.thread, found.status, found.closed_by, closing.closer, found.taken_by, found.opened_at,
       found.last_activity_at, found.next_deadline_at, found.ended_at, found.previous_conversation_id,
       coalesce(json_array_length(threads.state -> 'unanswered'), 0) AS unanswered,
       (threads.state -> 'unanswered' -> 0 ->> 'at_ms')::bigint AS unanswered_since_ms,
       (SELECT count(*) FROM dead_letters WHERE dead_letters.conversation_id = found.id AND dead_letters.status = 'open') AS dead_letters,
       (SELECT prosa.log_time()) AS log_time
FROM found
LEFT JOIN threads ON threads.thread = found.thread AND threads.state -> 'conversation' ->> 'id' = found.id
LEFT JOIN LATERAL (
    SELECT event -> 'data' ->> 'by' AS closer
    FROM events
    WHERE found.closed_by = 'person' AND events.subject = found.thread AND events.partition = found.partition
      AND events.type LIKE 'prosa.conversation.closed.%' AND events.log_time = found.ended_at
      AND coalesce(event -> 'data' ->> 'conversation', found.id) = found.id
    ORDER BY epoch DESC, position
    LIMIT 1
) AS closing ON true
ORDER BY found.last_activity_at DESC, found.id DESC
