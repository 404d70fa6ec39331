"""The pages: server-rendered, no build step, no script from elsewhere."""
