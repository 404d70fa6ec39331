"""From raw spans and log records of any dialect to Log records; pure."""

from kibitz_collector.normalize.batch import join_log_records
from kibitz_collector.normalize.explain import Explanation, explain
from kibitz_collector.normalize.filing import clean_path
from kibitz_collector.normalize.logrecord import normalize_log, refusal
from kibitz_collector.normalize.messages import message_text
from kibitz_collector.normalize.pricing import NO_PRICES, Rates, UserPrices, read_prices
from kibitz_collector.normalize.span import MAPPER_VERSION, normalize

__all__ = [
    "MAPPER_VERSION",
    "NO_PRICES",
    "Explanation",
    "Rates",
    "UserPrices",
    "clean_path",
    "explain",
    "join_log_records",
    "message_text",
    "normalize",
    "normalize_log",
    "read_prices",
    "refusal",
]
