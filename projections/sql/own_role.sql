SELECT rolname AS name, rolsuper AS is_superuser, rolbypassrls AS passes_policies
FROM pg_catalog.pg_roles
WHERE rolname = current_user
