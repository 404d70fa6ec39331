"""Measures what importing and starting a library takes, in a process that did nothing else."""

import argparse
import time

from bench.children import report
from bench.client.libraries import LIBRARIES
from bench.timing import rss_bytes


def main() -> None:
    """Import, initialise and record one call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=LIBRARIES, required=True)
    parser.add_argument("--sink", required=True)
    given = parser.parse_args()
    before = rss_bytes()
    wall, cpu = time.perf_counter(), time.process_time()
    LIBRARIES[given.library](given.sink)
    figures = {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "rss_mb": (rss_bytes() - before) / 1e6,
    }
    report(figures)


if __name__ == "__main__":
    main()
