"""Directories, datapoints, names of Versions, monitors that follow an environment."""

import time

import sqlalchemy as sa
from alembic import op

from kibitz_collector.files.ids import random_id

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    directory = op.create_table(
        "directory",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("created_ns", BIG, nullable=False),
        sa.Column("updated_ns", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_directory")),
    )
    op.create_index("uq_directory_path", "directory", ["workspace_id", "path"], unique=True)
    op.create_table(
        "datapoint",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Integer(), nullable=False),
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_ns", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datapoint")),
    )
    op.create_index("ix_datapoint_file", "datapoint", ["file_id"])
    op.create_table(
        "version_datapoint",
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("position", BIG, autoincrement=False, nullable=False),
        sa.Column("datapoint_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version_id", "position", name=op.f("pk_version_datapoint")),
    )
    is_named = sa.text("name IS NOT NULL")
    op.create_index(
        "uq_version_name",
        "version",
        ["file_id", "name"],
        unique=True,
        sqlite_where=is_named,
        postgresql_where=is_named,
    )
    op.add_column("monitor", sa.Column("environment_id", sa.Text(), nullable=True))
    op.execute("INSERT INTO counter (name, value) VALUES ('files', 0)")
    rows = _directories()
    if rows:
        op.bulk_insert(directory, rows)


def _directories() -> list[dict[str, object]]:
    """Return a row for each directory that the paths of Files speak of."""
    file = sa.table("file", sa.column("workspace_id"), sa.column("path"))
    places = set()
    for workspace_id, path in op.get_bind().execute(sa.select(file.c.workspace_id, file.c.path)):
        parts = path.split("/")[:-1]
        places |= {(workspace_id, "/".join(parts[: n + 1])) for n in range(len(parts))}
    now_ns = time.time_ns()
    return [
        {
            "id": random_id("dir_"),
            "workspace_id": workspace_id,
            "path": path,
            "created_ns": now_ns,
            "updated_ns": now_ns,
        }
        for workspace_id, path in sorted(places)
    ]
