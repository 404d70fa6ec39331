"""Hourly sums over Logs, kept on write as the difference between the old and the merged row."""

from sqlmodel import Field

from kibitz_collector.store.tables.base import Table, big, string


class RollupHour(Table, table=True):
    """What happened in one hour (of the sender's clock) to one combination; "" stands for none."""

    __tablename__ = "rollup_hour"

    workspace_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    hour: int = big(primary_key=True, sa_column_kwargs={"autoincrement": False})  # since 1970
    kind: str = string(primary_key=True)
    file_id: str = string(primary_key=True)
    version_id: str = string(primary_key=True)
    environment: str = string(primary_key=True)
    model: str = string(primary_key=True)
    log_count: int = big(default=0)
    error_count: int = big(default=0)
    timed_count: int = big(default=0)  # Logs with a duration
    duration_us: int = big(default=0)
    usage_count: int = big(default=0)  # leaf Logs with tokens or cost
    priced_count: int = big(default=0)
    cost_nusd: int = big(default=0)  # in 1e-9 US dollars
    tokens_input_uncached: int = big(default=0)
    tokens_cache_read: int = big(default=0)
    tokens_cache_write: int = big(default=0)
    tokens_output: int = big(default=0)
    tokens_reasoning: int = big(default=0)
