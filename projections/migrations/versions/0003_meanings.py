"""What each table and column means, where whoever queries them looks."""

from projections.migrations.sql_file import run_beside

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
