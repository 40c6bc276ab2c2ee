-- The archive of one partition in one generation of the log, some at once, in order; value has the bytes of what could not be decoded.
SELECT events.position, events.subject, events.event::text AS event, skipped.value, events.digest, events.chain
FROM events
LEFT JOIN skipped_events AS skipped
    ON events.event IS NULL AND skipped.epoch = events.epoch AND skipped.partition = events.partition
        AND skipped.position = events.position AND skipped.thread = ''
WHERE events.epoch = $1 AND events.partition = $2 AND events.position > $3
ORDER BY events.position
LIMIT $4
