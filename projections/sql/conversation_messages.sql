-- The newest messages of a conversation, oldest first, with who wrote them.
SELECT *
FROM (
    SELECT messages.at, messages.direction, messages.body, messages.status, messages.error_code, messages.sid, messages.part,
           messages.reply_id, replies.kind AS reply_kind, replies.replied_by, messages.epoch, messages.position
    FROM messages
    LEFT JOIN replies ON replies.id = messages.reply_id
    WHERE messages.conversation_id = $1
    ORDER BY messages.epoch DESC, messages.position DESC
    LIMIT $2
) AS newest
ORDER BY epoch, position
