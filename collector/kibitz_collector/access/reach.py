"""What addresses a collector lets its Tools and its model providers be at."""

from kibitz_collector.access.http import Context
from kibitz_collector.addresses import Reach
from kibitz_collector.config import Settings
from kibitz_collector.store.queries import keys as key_queries

_SETTING = "KIBITZ_ALLOWED_HOSTS=<the host>"


def provider_reach(settings: Settings) -> Reach:
    """Return where a provider's base URL may lead: own models are at private addresses."""
    return Reach(private=True, hosts=_hosts(settings), setting=_SETTING)


def tool_reach(caller: Context) -> Reach:
    """Return where a Tool's URL may lead: without keys only people of this machine write them."""
    with caller.store.read() as session:
        has_keys = bool(key_queries.active_keys(session))
    return Reach(loopback=not has_keys, hosts=_hosts(caller.settings), setting=_SETTING)


def _hosts(settings: Settings) -> frozenset[str]:
    named = (host.strip().lower() for host in settings.allowed_hosts.split(","))
    return frozenset(host for host in named if host)
