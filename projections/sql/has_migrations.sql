SELECT to_regclass('prosa.alembic_version') IS NOT NULL
