"""What the contract lacked: Logs search, evaluators, monitors, alerts, channels, keys."""
