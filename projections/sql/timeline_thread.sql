-- A thread as it is folded, with its partition's clock; and how long ago that moved, by this server's own clock alone.
SELECT threads.partition, threads.state, checkpoints.epoch, checkpoints.position,
       checkpoints.appended_at_ms + checkpoints.clock_offset_ms AS log_time_ms,
       (extract(epoch FROM clock_timestamp() - checkpoints.updated_at) * 1000)::bigint AS since_ms
FROM threads
JOIN checkpoints USING (partition)
WHERE threads.thread = $1
