SELECT partition, epoch, position, appended_at_ms, clock_offset_ms, state, chain
FROM checkpoints
WHERE partition = ANY ($1::integer[])
