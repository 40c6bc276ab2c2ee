SELECT version_num FROM prosa.alembic_version
