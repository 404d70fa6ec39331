"""The background loops of one collector process, started and stopped together."""

import logging
import time
from dataclasses import dataclass

from kibitz_collector.background import Loop
from kibitz_collector.evaluate.sandbox import Sandbox

log = logging.getLogger("kibitz.collector")


@dataclass(slots=True)
class Workers:
    """What runs beside the requests."""

    loops: list[Loop]
    sandbox: Sandbox | None

    def stop(self, grace_s: float) -> None:
        """Stop all loops within `grace_s` together, then end the sandbox."""
        deadline = time.monotonic() + grace_s
        for loop in self.loops:
            loop.request_stop()
        for loop in self.loops:
            if not loop.join(max(0.0, deadline - time.monotonic())):
                log.warning(
                    "%s did not finish within %.0f s; its claims expire", loop.name, grace_s
                )
        if self.sandbox is not None:
            self.sandbox.close()
