SELECT relname AS name
FROM pg_catalog.pg_class
WHERE relnamespace = to_regnamespace('prosa') AND relkind IN ('r', 'p') AND NOT relrowsecurity
ORDER BY relname
