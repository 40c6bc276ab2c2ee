-- Our addresses, as far as anybody ever wrote to one: the first half of a thread's name.
SELECT DISTINCT split_part(thread, '|', 1) AS sender FROM threads
