"""What a figure was measured on: one line to print beside every table."""

import os
import platform
import sys
from pathlib import Path


def describe() -> str:
    """Return processor, cores, memory, Python, and how busy the machine is right now."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{_processor()}, {os.cpu_count()} cores, {_memory_gb()} GB, {platform.system()} "
        f"{platform.release()}, Python {sys.version.split()[0]}, load {load}"
    )


def _processor() -> str:
    return _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()


def _memory_gb() -> str:
    total = _field("/proc/meminfo", "MemTotal")
    return f"{int(total.split()[0]) / 2**20:.0f}" if total else "?"


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")
