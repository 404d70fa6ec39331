"""How fast a trace server stores what it is sent: `python -m bench.ingest`."""
