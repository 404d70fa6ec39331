"""Who may do what: API keys, page cookies, and the context of a request."""
