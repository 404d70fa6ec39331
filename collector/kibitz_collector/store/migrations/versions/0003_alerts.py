"""Alert rules, their states, firings, deliveries, channels."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _rules()
    _firings()
    _deliveries()
    op.create_table(
        "channel",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("secrets", sa.Text(), nullable=True),
        sa.Column("created_ns", BIG, nullable=False),
        sa.Column("updated_ns", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel")),
    )
    op.create_index("uq_channel_name", "channel", ["workspace_id", "name"], unique=True)


def _rules() -> None:
    op.create_table(
        "alert_rule",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("comparison", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("recovery_threshold", sa.Double(), nullable=True),
        sa.Column("min_sample", BIG, nullable=False),
        sa.Column("for_s", sa.Double(), nullable=False),
        sa.Column("recover_s", sa.Double(), nullable=False),
        sa.Column("no_data", sa.Text(), nullable=False),
        sa.Column("channels", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("snoozed_until_ns", BIG, nullable=True),
        sa.Column("revision", BIG, nullable=False),
        sa.Column("created_ns", BIG, nullable=False),
        sa.Column("updated_ns", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_rule")),
    )
    op.create_index("ix_alert_rule_workspace", "alert_rule", ["workspace_id", "created_ns"])
    op.create_table(
        "alert_state",
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since_ns", BIG, nullable=False),
        sa.Column("clear_since_ns", BIG, nullable=True),
        sa.Column("firing_id", sa.Text(), nullable=True),
        sa.Column("is_announced", sa.Boolean(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("sample", BIG, nullable=False),
        sa.Column("revision", BIG, nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "group_key", name=op.f("pk_alert_state")),
    )


def _firings() -> None:
    op.create_table(
        "firing",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("rule_name", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("sample", BIG, nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("opened_ns", BIG, nullable=False),
        sa.Column("closed_ns", BIG, nullable=True),
        sa.Column("close_reason", sa.Text(), nullable=True),
        sa.Column("closed_value", sa.Double(), nullable=True),
        sa.Column("closed_sample", BIG, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_firing")),
    )
    _partial("uq_firing_open", "firing", ["rule_id", "group_key"], "closed_ns IS NULL", unique=True)
    op.create_index("ix_firing_opened", "firing", ["workspace_id", "opened_ns"])
    op.create_index("ix_firing_rule", "firing", ["rule_id", "opened_ns"])


def _deliveries() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("firing_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_ns", BIG, nullable=False),
        sa.Column("give_up_ns", BIG, nullable=False),
        sa.Column("lease_until_ns", BIG, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_ns", BIG, nullable=False),
        sa.Column("delivered_ns", BIG, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
    )
    _partial("ix_delivery_due", "delivery", ["due_ns"], "state = 'waiting'")
    _partial("ix_delivery_lease", "delivery", ["lease_until_ns"], "state = 'sending'")
    op.create_index("ix_delivery_firing", "delivery", ["firing_id", "channel_id"])
    op.create_index("ix_delivery_channel", "delivery", ["channel_id", "created_ns"])


def _partial(
    name: str, table: str, columns: list[str], where: str, *, unique: bool = False
) -> None:
    condition = sa.text(where)
    op.create_index(
        name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition
    )
