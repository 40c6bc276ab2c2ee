-- Roles that Supabase's API lends to whoever asks.
SELECT role.rolname AS role, count(*) AS tables
FROM pg_catalog.pg_roles AS role
CROSS JOIN pg_catalog.pg_class AS relation
WHERE role.rolname IN ('anon', 'authenticated')
  AND relation.relnamespace = to_regnamespace('prosa')
  AND relation.relkind IN ('r', 'p', 'v', 'm')
  AND has_table_privilege(role.oid, relation.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
GROUP BY role.rolname
ORDER BY role.rolname
