"""Logs, Files, judgments, keys, quarantine: the first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "content",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("last_day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content")),
    )
    op.create_index("uq_content_hash", "content", ["workspace_id", "hash"], unique=True)
    op.create_table(
        "counter",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", BIG, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counter")),
    )
    op.create_table(
        "deployment",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("environment_id", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_ns", BIG, nullable=False),
        sa.Column("ended_ns", BIG, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment")),
    )
    op.create_index("ix_deployment_version", "deployment", ["version_id"], unique=False)
    op.create_index(
        "uq_deployment_current",
        "deployment",
        ["file_id", "environment_id"],
        unique=True,
        sqlite_where=sa.text("ended_ns IS NULL"),
        postgresql_where=sa.text("ended_ns IS NULL"),
    )
    op.create_table(
        "environment",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_ns", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_environment")),
    )
    op.create_index(
        "uq_environment_default",
        "environment",
        ["workspace_id"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )
    op.create_index("uq_environment_name", "environment", ["workspace_id", "name"], unique=True)
    op.create_table(
        "file",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("readme", sa.Text(), nullable=True),
        sa.Column("is_derived", sa.Boolean(), nullable=False),
        sa.Column("created_ns", BIG, nullable=False),
        sa.Column("updated_ns", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file")),
    )
    op.create_index("uq_file_path", "file", ["workspace_id", "path"], unique=True)
    op.create_table(
        "judgment",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("log_id", sa.Text(), nullable=False),
        sa.Column("judged_log_id", sa.Text(), nullable=False),
        sa.Column("evaluator_id", sa.Text(), nullable=False),
        sa.Column("evaluator_version_id", sa.Text(), nullable=True),
        sa.Column("return_type", sa.Text(), nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("labels", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("is_error", sa.Boolean(), nullable=False),
        sa.Column("where", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=True),
        sa.Column("keep_probability", sa.Double(), nullable=False),
        sa.Column("superseded_by", sa.Text(), nullable=True),
        sa.Column("created_ns", BIG, nullable=False),
        sa.Column("received_ns", BIG, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_judgment")),
    )
    op.create_index(
        "ix_judgment_evaluator",
        "judgment",
        ["workspace_id", "evaluator_id", "created_ns"],
        unique=False,
    )
    op.create_index(
        "ix_judgment_judged", "judgment", ["workspace_id", "judged_log_id"], unique=False
    )
    op.create_index(
        "ix_judgment_received", "judgment", ["workspace_id", "received_ns"], unique=False
    )
    op.create_index("uq_judgment_log", "judgment", ["workspace_id", "log_id"], unique=True)
    op.create_table(
        "key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("created_ns", BIG, nullable=False),
        sa.Column("revoked_ns", BIG, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key")),
    )
    op.create_index("uq_key_hash", "key", ["hash"], unique=True)
    op.create_table(
        "log",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=True),
        sa.Column("span_id", sa.Text(), nullable=True),
        sa.Column("trace_parent_id", sa.Text(), nullable=True),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("user", sa.Text(), nullable=True),
        sa.Column("file_id", sa.Text(), nullable=True),
        sa.Column("version_id", sa.Text(), nullable=True),
        sa.Column("environment", sa.Text(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("start_ns", BIG, nullable=False),
        sa.Column("end_ns", BIG, nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("model_served", sa.Text(), nullable=True),
        sa.Column("tokens_input_uncached", BIG, nullable=True),
        sa.Column("tokens_cache_read", BIG, nullable=True),
        sa.Column("tokens_cache_write", BIG, nullable=True),
        sa.Column("tokens_output", BIG, nullable=True),
        sa.Column("tokens_reasoning", BIG, nullable=True),
        sa.Column("cost_usd", sa.Double(), nullable=True),
        sa.Column("cost_reported_usd", sa.Double(), nullable=True),
        sa.Column("time_to_first_token_ms", sa.Double(), nullable=True),
        sa.Column("finish_reason", sa.Text(), nullable=True),
        sa.Column("response_id", sa.Text(), nullable=True),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("keep_probability", sa.Double(), nullable=False),
        sa.Column("mapper_version", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("datapoint_id", sa.Text(), nullable=True),
        sa.Column("received_ns", BIG, nullable=False),
        sa.Column("final_ns", BIG, nullable=True),
        sa.Column("is_genai", sa.Boolean(), nullable=False),
        sa.Column("is_hidden", sa.Boolean(), nullable=False),
        sa.Column("is_start", sa.Boolean(), nullable=False),
        sa.Column("is_covered", sa.Boolean(), nullable=False),
        sa.Column("is_top", sa.Boolean(), nullable=False),
        sa.Column("inherits", sa.Integer(), nullable=False),
        sa.Column("weak", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_log")),
    )
    op.create_index(
        "ix_log_error",
        "log",
        ["workspace_id", "start_ns"],
        unique=False,
        sqlite_where=sa.text("status = 'error'"),
        postgresql_where=sa.text("status = 'error'"),
    )
    op.create_index("ix_log_file", "log", ["workspace_id", "file_id", "start_ns"], unique=False)
    op.create_index(
        "ix_log_final",
        "log",
        ["workspace_id", "final_ns"],
        unique=False,
        sqlite_where=sa.text("final_ns IS NOT NULL"),
        postgresql_where=sa.text("final_ns IS NOT NULL"),
    )
    op.create_index(
        "ix_log_judged",
        "log",
        ["workspace_id", "parent_id", "start_ns"],
        unique=False,
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )
    op.create_index(
        "ix_log_model",
        "log",
        ["workspace_id", "model", "start_ns"],
        unique=False,
        sqlite_where=sa.text("model IS NOT NULL"),
        postgresql_where=sa.text("model IS NOT NULL"),
    )
    op.create_index(
        "ix_log_parent",
        "log",
        ["workspace_id", "trace_parent_id"],
        unique=False,
        sqlite_where=sa.text("trace_parent_id IS NOT NULL"),
        postgresql_where=sa.text("trace_parent_id IS NOT NULL"),
    )
    op.create_index(
        "ix_log_top",
        "log",
        ["workspace_id", "start_ns", "seq"],
        unique=False,
        sqlite_where=sa.text("is_top IS TRUE"),
        postgresql_where=sa.text("is_top IS TRUE"),
    )
    op.create_index(
        "ix_log_run",
        "log",
        ["workspace_id", "run_id"],
        unique=False,
        sqlite_where=sa.text("run_id IS NOT NULL"),
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
    op.create_index(
        "ix_log_session",
        "log",
        ["workspace_id", "session_id", "start_ns"],
        unique=False,
        sqlite_where=sa.text("session_id IS NOT NULL"),
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
    op.create_index("ix_log_start", "log", ["workspace_id", "start_ns", "seq"], unique=False)
    op.create_index("ix_log_trace", "log", ["workspace_id", "trace_id", "start_ns"], unique=False)
    op.create_index(
        "ix_log_user",
        "log",
        ["workspace_id", "user", "start_ns"],
        unique=False,
        sqlite_where=sa.text('"user" IS NOT NULL'),
        postgresql_where=sa.text('"user" IS NOT NULL'),
    )
    op.create_index(
        "ix_log_waiting",
        "log",
        ["workspace_id", "trace_parent_id"],
        unique=False,
        sqlite_where=sa.text("trace_id IS NULL AND trace_parent_id IS NOT NULL"),
        postgresql_where=sa.text("trace_id IS NULL AND trace_parent_id IS NOT NULL"),
    )
    op.create_index("uq_log_id", "log", ["workspace_id", "id"], unique=True)
    op.create_table(
        "log_body",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("preview_input", sa.Text(), nullable=False),
        sa.Column("preview_output", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_log_body")),
    )
    op.create_table(
        "log_metadata",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("seq", "key", name=op.f("pk_log_metadata")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_log_metadata_value",
        "log_metadata",
        ["workspace_id", "key", "value", "seq"],
        unique=False,
    )
    op.create_table(
        "producer",
        sa.Column("workspace_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("produced", BIG, nullable=False),
        sa.Column("arrived", BIG, nullable=False),
        sa.Column("rejected", BIG, nullable=False),
        sa.Column("pieces", sa.Text(), nullable=False),
        sa.Column("first_heard_ns", BIG, nullable=False),
        sa.Column("updated_ns", BIG, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "process", name=op.f("pk_producer")),
    )
    op.create_index("ix_producer_updated", "producer", ["workspace_id", "updated_ns"], unique=False)
    op.create_table(
        "quarantine",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("signal", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("received_ns", BIG, nullable=False),
        sa.Column("count", BIG, nullable=False),
        sa.Column("replayed_ns", BIG, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
    )
    op.create_index(
        "ix_quarantine_received", "quarantine", ["workspace_id", "received_ns"], unique=False
    )
    op.create_index("uq_quarantine_digest", "quarantine", ["workspace_id", "digest"], unique=True)
    op.create_table(
        "rollup_hour",
        sa.Column("workspace_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hour", BIG, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("log_count", BIG, nullable=False),
        sa.Column("error_count", BIG, nullable=False),
        sa.Column("timed_count", BIG, nullable=False),
        sa.Column("duration_us", BIG, nullable=False),
        sa.Column("usage_count", BIG, nullable=False),
        sa.Column("priced_count", BIG, nullable=False),
        sa.Column("cost_nusd", BIG, nullable=False),
        sa.Column("tokens_input_uncached", BIG, nullable=False),
        sa.Column("tokens_cache_read", BIG, nullable=False),
        sa.Column("tokens_cache_write", BIG, nullable=False),
        sa.Column("tokens_output", BIG, nullable=False),
        sa.Column("tokens_reasoning", BIG, nullable=False),
        sa.PrimaryKeyConstraint(
            "workspace_id",
            "hour",
            "kind",
            "file_id",
            "version_id",
            "environment",
            "model",
            name=op.f("pk_rollup_hour"),
        ),
    )
    op.create_table(
        "search_pending",
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_search_pending")),
    )
    op.create_table(
        "search_progress",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_search_progress")),
    )
    op.create_table(
        "session",
        sa.Column("workspace_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user", sa.Text(), nullable=True),
        sa.Column("user_start_ns", BIG, nullable=True),
        sa.Column("start_ns", BIG, nullable=False),
        sa.Column("last_ns", BIG, nullable=False),
        sa.Column("log_count", BIG, nullable=False),
        sa.Column("error_count", BIG, nullable=False),
        sa.Column("usage_count", BIG, nullable=False),
        sa.Column("priced_count", BIG, nullable=False),
        sa.Column("cost_nusd", BIG, nullable=False),
        sa.Column("tokens_total", BIG, nullable=False),
        sa.Column("last_received_ns", BIG, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_session")),
    )
    op.create_index("ix_session_last", "session", ["workspace_id", "last_ns"], unique=False)
    op.create_table(
        "trace",
        sa.Column("workspace_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("root_id", sa.Text(), nullable=True),
        sa.Column("root_start_ns", BIG, nullable=True),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("session_start_ns", BIG, nullable=True),
        sa.Column("start_ns", BIG, nullable=False),
        sa.Column("end_ns", BIG, nullable=True),
        sa.Column("log_count", BIG, nullable=False),
        sa.Column("genai_count", BIG, nullable=False),
        sa.Column("error_count", BIG, nullable=False),
        sa.Column("usage_count", BIG, nullable=False),
        sa.Column("priced_count", BIG, nullable=False),
        sa.Column("cost_nusd", BIG, nullable=False),
        sa.Column("tokens_input_uncached", BIG, nullable=False),
        sa.Column("tokens_cache_read", BIG, nullable=False),
        sa.Column("tokens_cache_write", BIG, nullable=False),
        sa.Column("tokens_output", BIG, nullable=False),
        sa.Column("tokens_reasoning", BIG, nullable=False),
        sa.Column("first_received_ns", BIG, nullable=False),
        sa.Column("last_received_ns", BIG, nullable=False),
        sa.Column("completed_ns", BIG, nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", "trace_id", name=op.f("pk_trace")),
    )
    op.create_index(
        "ix_trace_open",
        "trace",
        ["workspace_id", "last_received_ns"],
        unique=False,
        sqlite_where=sa.text("completed_ns IS NULL"),
        postgresql_where=sa.text("completed_ns IS NULL"),
    )
    op.create_index(
        "ix_trace_session",
        "trace",
        ["workspace_id", "session_id"],
        unique=False,
        sqlite_where=sa.text("session_id IS NOT NULL"),
        postgresql_where=sa.text("session_id IS NOT NULL"),
    )
    op.create_table(
        "version",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_ns", BIG, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_version")),
    )
    op.create_index("uq_version_content", "version", ["file_id", "content_hash"], unique=True)

    op.execute("INSERT INTO counter (name, value) VALUES ('seq', 0)")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE log_seq AS bigint")


def downgrade() -> None:
    raise NotImplementedError("restore the copy made before the migration instead")
