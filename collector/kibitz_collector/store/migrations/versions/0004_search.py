"""The text index: FTS5 without a copy of the text on SQLite, tsvectors on PostgreSQL."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        # The `ascii` tokenizer splits our tokens at the spaces between them and nowhere else.
        op.execute(
            "CREATE VIRTUAL TABLE log_text USING fts5("
            "tokens, content='', columnsize=0, detail=full, tokenize='ascii')"
        )
        # Fewer, larger merges, and one segment for a whole batch: a third less to write.
        for option, value in (("automerge", 8), ("hashsize", 8 * 2**20)):
            op.execute(f"INSERT INTO log_text(log_text, rank) VALUES ('{option}', {value})")
        return
    op.execute(
        "CREATE TABLE log_text (seq BIGINT CONSTRAINT pk_log_text PRIMARY KEY,"
        " tokens TSVECTOR NOT NULL)"
    )
    op.execute("CREATE INDEX ix_log_text_tokens ON log_text USING GIN (tokens)")
