-- A thread as it is folded, and the log's clock by now.
SELECT threads.partition, threads.state, checkpoints.epoch, checkpoints.position,
       (extract(epoch FROM prosa.log_time()) * 1000)::bigint AS log_time_ms
FROM threads
JOIN checkpoints USING (partition)
WHERE threads.thread = $1
