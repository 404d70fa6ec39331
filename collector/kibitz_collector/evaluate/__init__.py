"""Logs to judgments: the sandbox, the evaluator types, and the worker between them."""
