"""The demo: a sample app, a stand-in model server, a webhook receiver, and what checks them."""
