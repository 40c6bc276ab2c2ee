SELECT thread, state
FROM threads
WHERE partition = $1 AND next_deadline_at_ms <= $2
