-- When the oldest archived event was appended: the first of every partition in every generation is looked up, and no more.
SELECT min(first.appended_at)
FROM checkpoints
CROSS JOIN LATERAL generate_series(1, checkpoints.epoch) AS generation (epoch)
CROSS JOIN LATERAL (
    SELECT events.appended_at
    FROM events
    WHERE events.epoch = generation.epoch AND events.partition = checkpoints.partition
    ORDER BY events.position
    LIMIT 1
) AS first
