-- Replies that were not simply sent: in doubt, begun and without an outcome, or rejected within the last $1 seconds. What a person must
-- settle comes first, so that no flood of the others hides it; among equals the newest.
SELECT replies.id, replies.owner, replies.thread, replies.kind, replies.status, replies.event_id, replies.at, replies.parts::text AS parts,
       letters.error
FROM replies
LEFT JOIN dead_letters AS letters ON letters.event_id = replies.event_id AND letters.consumer_group = 'sender'
WHERE replies.status = 'unconfirmed'
   OR (replies.status = 'accepted' AND replies.parts @> '[{"status": "started"}]')
   OR (
       replies.status = 'failed'
       AND letters.at >= (SELECT prosa.log_time()) - make_interval(secs => $1)
   )
ORDER BY replies.status = 'unconfirmed' DESC, replies.at DESC, replies.id DESC
LIMIT $2
