UPDATE checkpoints
SET epoch = $1, position = moved.position, updated_at = now()
FROM unnest($2::integer[], $3::bigint[]) AS moved (partition, position)
WHERE checkpoints.partition = moved.partition
