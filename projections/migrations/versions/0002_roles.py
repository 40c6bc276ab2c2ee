"""Who may do what: the group roles `prosa_app` and `prosa_read`."""

from projections.migrations.sql_file import run_beside

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
