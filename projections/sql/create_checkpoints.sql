INSERT INTO checkpoints (partition, epoch, position, state)
SELECT partition, $2, 0, $3::json
FROM unnest($1::integer[]) AS partition
ON CONFLICT DO NOTHING
