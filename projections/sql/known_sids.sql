SELECT id FROM messages WHERE id = ANY ($1::text[])
