-- All of them, from the whole table: nothing that is urgent may wait for it.
SELECT status, count(*) AS number FROM conversations GROUP BY status
