SELECT id, owner, thread FROM replies WHERE starts_with(id, $1) ORDER BY id LIMIT $2
