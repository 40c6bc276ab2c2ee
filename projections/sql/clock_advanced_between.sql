-- The furthest that others moved a partition's clock between two positions. What stands at the second one may have been written
-- twice, and is none of them.
SELECT max((event -> 'data' ->> 'offset_ms')::bigint)
FROM events
WHERE epoch = $1 AND partition = $2 AND subject = $3 AND position > $4 AND position < $5
  AND type = 'prosa.clock.advanced.v1'
  AND id <> (SELECT id FROM events WHERE epoch = $1 AND partition = $2 AND position = $5)
