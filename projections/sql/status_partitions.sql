-- How far each partition is folded, its clock's offset, and when its last tick was appended.
SELECT checkpoints.partition, checkpoints.epoch, checkpoints.position, checkpoints.clock_offset_ms,
       (extract(epoch FROM ticks.appended_at) * 1000)::bigint AS ticked_at_ms,
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms
FROM checkpoints
LEFT JOIN LATERAL (
    SELECT newest.appended_at
    FROM generate_series(checkpoints.epoch, 1, -1) AS generations (epoch)
    CROSS JOIN LATERAL (
        SELECT appended_at
        FROM events
        WHERE events.epoch = generations.epoch AND events.partition = checkpoints.partition
          AND events.subject = 'partition/' || checkpoints.partition AND events.type = 'prosa.clock.ticked.v1'
        ORDER BY events.position DESC
        LIMIT 1
    ) AS newest
    ORDER BY generations.epoch DESC
    LIMIT 1
) AS ticks ON true
ORDER BY checkpoints.partition
