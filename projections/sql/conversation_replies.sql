-- The newest replies of a conversation, oldest first.
SELECT *
FROM (
    SELECT id, kind, status, at, parts::text AS parts, replied_by
    FROM replies
    WHERE conversation_id = $1
    ORDER BY at DESC, id DESC
    LIMIT $2
) AS newest
ORDER BY at, id
