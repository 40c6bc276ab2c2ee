-- What came of an inbound message: the conversation as it stands, what was said to it, and why nothing was.
-- A failure sentence and a person's reply answer no message in particular: they count from the message on.
SELECT conversations.status, conversations.closed_by, conversations.taken_by, dead_letters.error,
       COALESCE(said.replies, '{}') AS replies, COALESCE(said.sids, '{}') AS sids
FROM messages AS inbound
LEFT JOIN conversations ON conversations.id = inbound.conversation_id
LEFT JOIN dead_letters ON dead_letters.event_id = inbound.event_id AND dead_letters.consumer_group = 'responder'
    AND dead_letters.status = 'open'
LEFT JOIN LATERAL (
    SELECT array_agg(DISTINCT replies.status) AS replies,
           array_agg(outbound.id) FILTER (WHERE outbound.id IS NOT NULL) AS sids
    FROM replies
    LEFT JOIN messages AS outbound ON outbound.reply_id = replies.id AND outbound.direction = 'outbound'
    WHERE replies.thread = inbound.thread
      AND replies.status NOT IN ('superseded', 'withdrawn')
      AND (replies.answers @> ARRAY[inbound.event_id] OR (replies.kind <> 'answer' AND replies.at >= inbound.at))
) AS said ON true
WHERE inbound.id = $1 AND inbound.direction = 'inbound'
