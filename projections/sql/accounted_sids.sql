SELECT id
FROM messages
WHERE id = ANY ($1::text[]) AND thread = $2 AND (direction = 'inbound' OR reply_id IS NOT NULL OR attempt <> $3)
