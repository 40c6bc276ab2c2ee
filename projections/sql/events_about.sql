-- What the log says later about an event of a thread: attempts, decisions, and all about the replies that it became or that answer it.
WITH about AS (
    SELECT replies.id
    FROM events
    JOIN replies ON replies.event_id = events.id
    WHERE events.subject = $1 AND (replies.event_id = $2 OR $2 = ANY (replies.answers))
)
SELECT type, log_time, event::text AS event
FROM events
WHERE subject = $1
  AND id <> $2
  AND (event -> 'data' ->> 'event' = $2 OR event -> 'data' ->> 'reply' IN (SELECT id FROM about))
ORDER BY epoch, position
