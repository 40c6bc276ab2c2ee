-- One event of a thread as it stands in the archive; a repeated append stands there more than once.
SELECT type, log_time, event::text AS event
FROM events
WHERE subject = $1 AND id = $2
ORDER BY epoch, position
LIMIT 1
