-- The digest is that of the entry at the checkpoint: the last one archived, in whichever epoch, if the chain says that it is the one.
-- Of poison whose bytes were deleted there is none: a log that was repaired went on without it.
SELECT checkpoints.partition, checkpoints.epoch, checkpoints.position, checkpoints.appended_at_ms, checkpoints.clock_offset_ms,
       checkpoints.state, checkpoints.chain,
       CASE
           WHEN newest.is_decoded OR EXISTS (
               SELECT FROM skipped_events AS skipped
               WHERE skipped.epoch = newest.epoch AND skipped.partition = checkpoints.partition
                   AND skipped.position = newest.position AND skipped.thread = ''
           ) THEN newest.digest
       END AS digest
FROM checkpoints
LEFT JOIN LATERAL (
    SELECT generations.epoch, archived.position, archived.is_decoded, archived.digest, archived.chain
    FROM generate_series(checkpoints.epoch, 1, -1) AS generations (epoch)
    CROSS JOIN LATERAL (
        SELECT position, event IS NOT NULL AS is_decoded, digest, chain
        FROM events
        WHERE events.epoch = generations.epoch AND events.partition = checkpoints.partition
        ORDER BY position DESC
        LIMIT 1
    ) AS archived
    ORDER BY generations.epoch DESC
    LIMIT 1
) AS newest ON newest.chain = checkpoints.chain
WHERE checkpoints.partition = ANY ($1::integer[])
