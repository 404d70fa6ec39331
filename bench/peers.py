"""Virtual environments for the peers: `python -m bench.peers --venvs DIR [NAME ...]` makes them."""

import argparse
import subprocess
import sys
import venv
from pathlib import Path

_CLIENT = (
    "openai",
    "httpx",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
)
PEERS: dict[str, tuple[str, ...]] = {
    "langfuse": (*_CLIENT, "langfuse"),
    "openinference": (*_CLIENT, "arize-phoenix-otel", "openinference-instrumentation-openai"),
    "traceloop": (*_CLIENT, "traceloop-sdk", "opentelemetry-instrumentation-openai"),
    "phoenix": ("arize-phoenix",),
    "mlflow": ("mlflow",),
}


def python_of(venvs: Path, peer: str) -> Path | None:
    """The interpreter a peer is installed for, or None if there is none."""
    folder = venvs / peer
    return folder / "bin" / "python" if (folder / "ready").exists() else None


def install(venvs: Path, peer: str) -> None:
    """Make the environment of one peer, unless it is there."""
    folder = venvs / peer
    ready = folder / "ready"
    if ready.exists():
        return
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *PEERS[peer]], check=True)
    ready.touch()


def main() -> int:
    """Install the peers named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venvs", type=Path, required=True)
    parser.add_argument("names", nargs="*", choices=[[], *PEERS], default=[])
    given = parser.parse_args()
    failed = 0
    for peer in given.names or PEERS:
        try:
            install(given.venvs, peer)
            print(f"{peer}: ready", flush=True)
        except (subprocess.CalledProcessError, OSError) as error:
            failed = 1
            print(f"{peer}: {error}", file=sys.stderr, flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
