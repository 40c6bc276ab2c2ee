SELECT thread, direction, reply_id, part FROM messages WHERE id = $1
