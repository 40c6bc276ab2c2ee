INSERT INTO skipped_events (epoch, partition, position, thread, error, value)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
