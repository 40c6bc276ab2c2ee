SELECT checkpoints.position, checkpoints.appended_at_ms, checkpoints.clock_offset_ms, threads.state
FROM checkpoints
LEFT JOIN threads ON threads.thread = $2
WHERE checkpoints.partition = $1
