"""From what was stored to what is told: rules on metrics, firings, channels."""
