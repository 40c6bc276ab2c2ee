-- The last entry that showed every silent thread of the partition how late it is.
SELECT (extract(epoch FROM log_time) * 1000)::bigint AS log_time_ms
FROM events
WHERE epoch = $1 AND partition = $2 AND subject = $3 AND position <= $4
ORDER BY position DESC
LIMIT 1
