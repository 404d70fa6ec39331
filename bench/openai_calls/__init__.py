"""What instrumenting the `openai` client costs: `python -m bench.openai_calls`."""
