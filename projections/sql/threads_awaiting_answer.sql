SELECT thread FROM threads WHERE partition = $1 AND awaits_answer_since_ms <= $2 ORDER BY awaits_answer_since_ms LIMIT $3
