"""The collector: receives spans, stores them, judges them, tells when quality drops."""
