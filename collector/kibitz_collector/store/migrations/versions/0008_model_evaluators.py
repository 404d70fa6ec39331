"""Which evaluator versions ask a model: they have workers of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "evaluator_state",
        sa.Column("asks_model", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    # Contents are JSON written without spaces; within a text the quotes would be escaped.
    op.execute(
        "UPDATE evaluator_state SET asks_model = true WHERE version_id IN"
        """ (SELECT id FROM version WHERE content LIKE '%"evaluator_type":"llm"%')"""
    )
