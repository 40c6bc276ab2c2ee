SELECT status, count(*) AS number FROM conversations GROUP BY status
