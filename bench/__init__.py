"""Benchmarks of kibitz, beside a bare OpenTelemetry SDK and beside its peers; no gate, no tests."""
