"""The collector: receives spans, stores them, judges them, tells when quality drops."""

from importlib.util import find_spec

if find_spec("sqlmodel") is None or find_spec("fastapi") is None:
    raise ImportError('the collector is not installed; run: pip install "kibitz[collector]"')
