"""The REST API: thin; parse, call a room, shape the answer."""
