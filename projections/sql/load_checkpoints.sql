-- The digest is that of the entry at the checkpoint: the last one archived, in whichever epoch, if the chain says that it is the one.
SELECT checkpoints.partition, checkpoints.epoch, checkpoints.position, checkpoints.appended_at_ms, checkpoints.clock_offset_ms,
       checkpoints.state, checkpoints.chain, newest.digest
FROM checkpoints
LEFT JOIN LATERAL (
    SELECT archived.digest, archived.chain
    FROM generate_series(checkpoints.epoch, 1, -1) AS generations (epoch)
    CROSS JOIN LATERAL (
        SELECT digest, chain
        FROM events
        WHERE events.epoch = generations.epoch AND events.partition = checkpoints.partition
        ORDER BY position DESC
        LIMIT 1
    ) AS archived
    ORDER BY generations.epoch DESC
    LIMIT 1
) AS newest ON newest.chain = checkpoints.chain
WHERE checkpoints.partition = ANY ($1::integer[])
