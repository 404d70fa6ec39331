"""What a decorated call costs the app: `python -m bench.client`."""
