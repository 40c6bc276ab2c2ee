SELECT thread FROM threads WHERE partition = $1 AND awaits_send_since_ms <= $2 ORDER BY awaits_send_since_ms LIMIT $3
