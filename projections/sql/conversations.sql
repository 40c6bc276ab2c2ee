-- Conversations as a person sees them, the most recently active first; what waits in them is known of those that are a thread's newest.
WITH found AS (
    SELECT *
    FROM conversations
    WHERE ($1::text[] IS NULL OR status = ANY ($1)) AND ($2::text IS NULL OR owner = $2) AND ($3::text[] IS NULL OR id = ANY ($3))
    ORDER BY last_activity_at DESC, id DESC
    LIMIT $4
    OFFSET $5
)
SELECT found.id, found.owner, found.thread, found.status, found.closed_by, found.taken_by, found.opened_at, found.last_activity_at,
       found.next_deadline_at, found.ended_at, found.previous_conversation_id,
       coalesce(json_array_length(threads.state -> 'unanswered'), 0) AS unanswered,
       (threads.state -> 'unanswered' -> 0 ->> 'at_ms')::bigint AS unanswered_since_ms,
       (SELECT prosa.log_time()) AS log_time
FROM found
LEFT JOIN threads ON threads.thread = found.thread AND threads.state -> 'conversation' ->> 'id' = found.id
ORDER BY found.last_activity_at DESC, found.id DESC
