UPDATE checkpoints
SET position = $4, appended_at_ms = $5, clock_offset_ms = $6, state = $7::json, chain = $8, updated_at = now()
WHERE partition = $1 AND epoch = $2 AND position = $3
