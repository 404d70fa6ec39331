"""Takes over what other products have exported."""
