-- The last entry that showed every silent thread of the partition how late it is.
SELECT (extract(epoch FROM newest.log_time) * 1000)::bigint AS log_time_ms
FROM generate_series($3::integer, 1, -1) AS generations (epoch)
CROSS JOIN LATERAL (
    SELECT log_time
    FROM events
    WHERE events.epoch = generations.epoch AND partition = $1 AND subject = $2 AND (events.epoch < $3 OR position <= $4)
    ORDER BY position DESC
    LIMIT 1
) AS newest
ORDER BY generations.epoch DESC
LIMIT 1
