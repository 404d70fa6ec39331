"""One way to call a Prompt, a Tool or an Agent: render, ask, store a Log; for API, judges, runs."""
