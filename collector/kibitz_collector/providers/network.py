"""What packages built on httpx share: one pool of connections, which follows no redirect.

Redirects lead past the check of addresses; and making a pool loads certificates, which takes longer
than many a call.
"""

import atexit
import functools
import ssl

import httpx


@functools.cache
def shared_client() -> httpx.Client:
    """Return the client of this process."""
    client = httpx.Client(follow_redirects=False, verify=certificates())
    atexit.register(client.close)
    return client


@functools.cache
def certificates() -> ssl.SSLContext:
    """Return what this process trusts: certifi's, or what SSL_CERT_FILE names."""
    return httpx.create_ssl_context()
