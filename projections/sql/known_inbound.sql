-- A message of which only a callback told is not known: it may be one that the contact wrote.
SELECT id FROM messages WHERE id = ANY ($1::text[]) AND (direction = 'inbound' OR reply_id IS NOT NULL)
