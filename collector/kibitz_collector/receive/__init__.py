"""The way in: bytes that come over HTTP become raw spans and log records, or a clear refusal."""
