"""The Humanloop v5 contract."""
