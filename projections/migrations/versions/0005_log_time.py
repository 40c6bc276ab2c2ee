"""The log's clock by now, reckoned in one place."""

from projections.migrations.sql_file import run_beside

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_beside(__file__)
