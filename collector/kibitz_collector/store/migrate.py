"""Brings a database's schema up to date: at start, and for `kibitz migrate`."""

import logging
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL, Connection

from kibitz_collector.errors import NewerSchema
from kibitz_collector.store import dialect

log = logging.getLogger("kibitz.collector")


def migrate(engine: Engine, url: URL, revision: str = "head") -> None:
    """Run what migrations are missing, in one transaction; SQLite files with data are copied first.

    Safe when several processes start at once: the first migrates, the others wait and find it done.
    Raises: NewerSchema: the database knows a revision this version does not.
    """
    config = _config()
    script = ScriptDirectory.from_config(config)
    current = _current(engine)
    _refuse_newer(current, script, url)
    if current == script.get_current_head():
        return
    if url.drivername == "sqlite" and current is not None and _has_data(engine):
        _back_up(engine, Path(str(url.database)), current)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            # SQLite's BEGIN IMMEDIATE does the same.
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:key)"), {"key": dialect.LOCK_MIGRATE}
            )
        current = _revision(connection)
        _refuse_newer(current, script, url)
        if current == script.get_current_head():
            return
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _current(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(current: str | None, script: ScriptDirectory, url: URL) -> None:
    known = {revision.revision for revision in script.walk_revisions()}
    if current is not None and current not in known:
        raise NewerSchema(
            f"{url.render_as_string(hide_password=True)} was written by a newer kibitz"
            f" (schema {current}); update kibitz, or give another database"
        )


def _has_data(engine: Engine) -> bool:
    with engine.connect() as connection:
        return any(
            connection.execute(text(f"SELECT 1 FROM {name} LIMIT 1")).first() is not None
            for name in ("log", "file", "key")
        )


def _back_up(engine: Engine, path: Path, revision: str) -> None:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    copy = path.with_name(f"{path.name}.before-migration-{revision}-{stamp}")
    number = 1
    while copy.exists():
        number += 1
        copy = copy.with_name(f"{path.name}.before-migration-{revision}-{stamp}-{number}")
    log.info("copying %s to %s before changing its schema", path, copy)
    raw = engine.raw_connection()  # VACUUM cannot run inside the transaction SQLAlchemy would open
    try:
        raw.cursor().execute("VACUUM INTO ?", (str(copy),))
    finally:
        raw.close()
