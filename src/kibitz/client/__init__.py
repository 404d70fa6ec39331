"""What an app asks of its collector: Prompts, calls, evaluations; loaded when first used."""
