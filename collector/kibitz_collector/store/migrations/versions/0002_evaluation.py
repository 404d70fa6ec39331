"""Monitors, evaluation jobs, the state of evaluator versions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "evaluator",
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("file_id", name=op.f("pk_evaluator")),
    )
    op.create_table(
        "evaluator_state",
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("evaluator_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("suspended_ns", BIG, nullable=True),
        sa.Column("strikes", sa.Integer(), nullable=False),
        sa.Column("is_proven", sa.Boolean(), nullable=False),
        sa.Column("judged_count", BIG, nullable=False),
        sa.Column("error_count", BIG, nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("claimed_ns", BIG, nullable=False),
        sa.Column("alone_until_ns", BIG, nullable=False),
        sa.PrimaryKeyConstraint("version_id", name=op.f("pk_evaluator_state")),
    )
    op.create_table(
        "monitor",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("evaluator_id", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=True),
        sa.Column("file_path", sa.Text(), nullable=True),
        sa.Column("filter", sa.Text(), nullable=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("sample_rate", sa.Double(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("created_ns", BIG, nullable=False),
        sa.Column("updated_ns", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_monitor")),
    )
    op.create_index("ix_monitor_evaluator", "monitor", ["workspace_id", "evaluator_id"])
    op.create_index("ix_monitor_file", "monitor", ["workspace_id", "file_path"])
    op.create_table(
        "job",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("monitor_id", sa.Text(), nullable=True),
        sa.Column("evaluator_id", sa.Text(), nullable=False),
        sa.Column("evaluator_version_id", sa.Text(), nullable=False),
        sa.Column("log_id", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("keep_probability", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_ns", BIG, nullable=False),
        sa.Column("lease_until_ns", BIG, nullable=True),
        sa.Column("claim", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_ns", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    op.create_index(
        "uq_job_work",
        "job",
        ["workspace_id", "log_id", "evaluator_version_id", "content_hash"],
        unique=True,
    )
    _partial("ix_job_waiting", ["evaluator_version_id", "due_ns"], "state = 'waiting'")
    _partial("ix_job_running", ["lease_until_ns"], "state = 'running'")
    _partial("ix_job_done", ["created_ns"], "state = 'done'")
    op.execute("INSERT INTO counter (name, value) VALUES ('monitors', 0), ('idle_traces', 0)")


def _partial(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "job", columns, sqlite_where=condition, postgresql_where=condition)
