"""What every table is made of: the metadata, column types both databases share, partial indexes."""

from typing import Any, ClassVar

from sqlalchemy import BigInteger, Double, Index, Integer, LargeBinary, MetaData, Text, text
from sqlmodel import Field, SQLModel

NAMES = {
    "pk": "pk_%(table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
}

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on both: SQLite numbers rows by itself only for a primary key of type INTEGER."""


class Table(SQLModel):
    """Base of all tables; its metadata is what migrations are compared with."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMES)


def string(**options: Any) -> Any:
    """Declare a text column of any length."""
    return Field(sa_type=Text, **options)


def big(**options: Any) -> Any:
    """Declare a 64-bit integer column (times in ns, sums, seq)."""
    return Field(sa_type=BIG, **options)


def real(**options: Any) -> Any:
    """Declare a double column."""
    return Field(sa_type=Double, **options)


def blob(**options: Any) -> Any:
    """Declare a column of bytes."""
    return Field(sa_type=LargeBinary, **options)


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Declare an index over the rows that satisfy `where` (SQL both databases understand)."""
    condition = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)
