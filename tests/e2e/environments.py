"""Virtual environments for programs that must not see ours; made once per machine, then reused."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(tempfile.gettempdir()) / "kibitz-test-environments"


def python_with(*requirements: str) -> Path:
    """Return a Python that has these packages."""
    key = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:16]
    place = _ROOT / key
    if not place.exists():
        _ROOT.mkdir(exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=_ROOT))
        subprocess.run([sys.executable, "-m", "venv", made], check=True)
        install = [str(made / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements]
        subprocess.run(install, check=True, timeout=600, capture_output=True)
        try:
            # Only its scripts know where it was made, and of those we use none but `python`.
            made.rename(place)
        except OSError:
            shutil.rmtree(made)  # another test process was faster
    return place / "bin" / "python"


def node_with(*packages: str) -> Path:
    """Return a `node_modules` folder that has these packages of npm."""
    place = _ROOT / hashlib.sha256("\n".join(["npm", *packages]).encode()).hexdigest()[:16]
    if not place.exists():
        _ROOT.mkdir(exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=_ROOT))
        (made / "package.json").write_text("{}")
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", *packages]
        subprocess.run(install, check=True, timeout=600, capture_output=True, cwd=made)
        try:
            made.rename(place)
        except OSError:
            shutil.rmtree(made)
    return place / "node_modules"
