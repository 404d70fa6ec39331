"""The collector: receives spans, stores them, judges them, tells when quality drops."""

from importlib.util import find_spec

# Two of what the extra brings; without them the first import would fail in a less telling way.
for _name in ("sqlmodel", "fastapi"):
    if find_spec(_name) is None:
        raise ModuleNotFoundError(
            'the collector is not installed; run: pip install "kibitz[collector]"', name=_name
        )
