-- The newest messages of a conversation, oldest first, with who wrote them, and the event of those that the reconciler fetched.
SELECT newest.*, fetched.event::text AS fetched, (extract(epoch FROM fetched.appended_at) * 1000)::bigint AS appended_at_ms
FROM (
    SELECT messages.at, messages.direction, messages.body, messages.status, messages.error_code, messages.sid, messages.part,
           messages.reply_id, replies.kind AS reply_kind, replies.replied_by, messages.epoch, messages.position, messages.thread,
           messages.event_id
    FROM messages
    LEFT JOIN replies ON replies.id = messages.reply_id
    WHERE messages.conversation_id = $1
    ORDER BY messages.epoch DESC, messages.position DESC
    LIMIT $2
) AS newest
LEFT JOIN events AS fetched
    ON newest.direction = 'inbound' AND fetched.subject = newest.thread AND fetched.epoch = newest.epoch
    AND fetched.position = newest.position AND fetched.id = newest.event_id AND fetched.event ->> 'source' = $3
ORDER BY newest.epoch, newest.position
