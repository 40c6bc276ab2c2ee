-- The ids of the conversations that a name may mean: those whose id begins so, or the newest one with such a contact or thread.
(
    SELECT id
    FROM conversations
    WHERE starts_with(id, $1) OR starts_with(id, upper($1))
    ORDER BY id = $1 DESC, opened_at DESC
    LIMIT $2
)
UNION
(
    SELECT DISTINCT ON (thread) id
    FROM conversations
    WHERE split_part(thread, '|', 2) IN ($1, 'whatsapp:' || $1, 'whatsapp:+' || $1) OR thread = $1
    ORDER BY thread, opened_at DESC, id DESC
    LIMIT $2
)
