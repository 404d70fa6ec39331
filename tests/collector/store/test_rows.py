from kibitz_collector.store.rows import to_row
from kibitz_collector.store.writes.tree import LOG
from tests.collector.store.facts import log


def test_a_new_row_names_the_columns_in_the_order_of_the_table() -> None:
    assert list(to_row(log("log_a"), 1, None, None, 0)) == LOG.columns.keys()


def test_what_no_database_can_store_is_replaced_in_every_text_of_a_row() -> None:
    record = log(
        "log_\ud800", "log_\ud800", name="a\0b", user="ü\udfff", flags=["b\0", "a"], model=""
    )
    row = to_row(record, 1, None, None, 0)
    assert row["id"] == "log_\ufffd"
    assert row["trace_parent_id"] is None  # it named itself
    assert row["name"] == "a\ufffdb"
    assert row["user"] == "ü\ufffd"
    assert row["flags"] == "|a|b\ufffd|"
    assert row["model"] is None
