"""Evaluations: their Evaluators and runs, the Logs of runs, what runs have yet to generate."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, BIG, nullable=nullable)


def workspace() -> sa.Column[int]:
    return sa.Column("workspace_id", sa.Integer(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "evaluation",
        text("id"),
        workspace(),
        text("file_id", nullable=True),
        text("name", nullable=True),
        text("created_by", nullable=True),
        number("created_ns"),
        number("updated_ns"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation")),
    )
    is_named = sa.text("name IS NOT NULL AND file_id IS NOT NULL")
    op.create_index(
        "uq_evaluation_name",
        "evaluation",
        ["workspace_id", "file_id", "name"],
        unique=True,
        sqlite_where=is_named,
        postgresql_where=is_named,
    )
    op.create_index("ix_evaluation_file", "evaluation", ["workspace_id", "file_id", "created_ns"])
    op.create_table(
        "evaluation_evaluator",
        text("evaluation_id"),
        text("version_id"),
        workspace(),
        text("evaluator_id"),
        sa.Column("orchestrated", sa.Boolean(), nullable=False),
        number("added_ns"),
        sa.PrimaryKeyConstraint(
            "evaluation_id", "version_id", name=op.f("pk_evaluation_evaluator")
        ),
    )
    _create_runs()
    _create_tasks()


def _create_runs() -> None:
    op.create_table(
        "run",
        text("id"),
        workspace(),
        text("file_id", nullable=True),
        text("version_id", nullable=True),
        text("dataset_id", nullable=True),
        text("dataset_version_id", nullable=True),
        sa.Column("orchestrated", sa.Boolean(), nullable=False),
        text("status"),
        text("created_by", nullable=True),
        number("created_ns"),
        number("updated_ns"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    _create_partial("ix_run_open", "run", "created_ns", "status IN ('pending', 'running')")
    op.create_table(
        "evaluation_run",
        text("evaluation_id"),
        text("run_id"),
        workspace(),
        sa.Column("is_control", sa.Boolean(), nullable=False),
        number("added_ns"),
        sa.PrimaryKeyConstraint("evaluation_id", "run_id", name=op.f("pk_evaluation_run")),
    )
    op.create_index("ix_evaluation_run_run", "evaluation_run", ["run_id"])
    op.create_table(
        "run_log",
        text("run_id"),
        text("log_id"),
        workspace(),
        text("datapoint_id", nullable=True),
        text("origin"),
        number("added_ns"),
        sa.PrimaryKeyConstraint("run_id", "log_id", name=op.f("pk_run_log")),
    )
    op.create_index("ix_run_log_log", "run_log", ["workspace_id", "log_id"])


def _create_tasks() -> None:
    op.create_table(
        "run_task",
        text("run_id"),
        text("datapoint_id"),
        workspace(),
        number("position"),
        text("state"),
        number("due_ns"),
        number("lease_until_ns", nullable=True),
        text("claim", nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        text("last_error", nullable=True),
        sa.PrimaryKeyConstraint("run_id", "datapoint_id", name=op.f("pk_run_task")),
    )
    _create_partial("ix_run_task_waiting", "run_task", "due_ns", "state = 'waiting'")
    _create_partial("ix_run_task_running", "run_task", "lease_until_ns", "state = 'running'")


def _create_partial(name: str, table: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
