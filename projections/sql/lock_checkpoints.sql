-- Nobody else moves these until we commit. A projector that falls silent in the middle (paused, cut off) is ended by Postgres.
SELECT partition, epoch, position,
       set_config('idle_in_transaction_session_timeout', $2, true), set_config('statement_timeout', $3, true)
FROM checkpoints
WHERE partition = ANY ($1::integer[])
ORDER BY partition
FOR UPDATE
