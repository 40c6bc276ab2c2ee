SELECT thread, state
FROM threads
WHERE partition = $1 AND next_deadline_at_ms <= $2 AND thread <> ALL ($3::text[])
ORDER BY next_deadline_at_ms
