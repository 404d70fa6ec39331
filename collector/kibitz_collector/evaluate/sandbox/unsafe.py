"""The opt-in engine without walls: evaluators run as this user, with every package it has."""

import logging

from kibitz_collector.evaluate.sandbox.jail import Jail
from kibitz_collector.evaluate.sandbox.verdicts import Limits

log = logging.getLogger("kibitz.collector")


def open_unsafe(limits: Limits) -> Jail:
    """Return the unsafe engine and say so loudly: the same forks, with nothing taken away."""
    reason = "asked for: evaluators can read and change whatever this user can"
    log.warning("sandbox local-unsafe: %s", reason)
    return Jail(reason=reason, is_hardened=False, limits=limits)
