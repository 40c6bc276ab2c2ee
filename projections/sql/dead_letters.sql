-- Dead letters, the newest first, or where $5 the oldest. Their age is by the log's clock.
SELECT letters.event_id, letters.consumer_group, letters.owner, letters.thread, letters.conversation_id, letters.status, letters.error,
       letters.fingerprint, letters.attempts, letters.at,
       extract(epoch FROM (SELECT prosa.log_time()) - letters.at)::float AS age_seconds
FROM dead_letters AS letters
WHERE ($1::text IS NULL OR letters.status = $1)
  AND ($2::text IS NULL OR letters.consumer_group = $2)
  AND starts_with(letters.event_id, $3)
ORDER BY CASE WHEN $5 THEN letters.at END, CASE WHEN $5 THEN letters.event_id END, letters.at DESC, letters.event_id DESC
LIMIT $4
