"""Where Files are: directories as their paths name them."""

from kibitz_collector.files.ids import hashed_id

ROOT = ""
"""The path of the directory that all others are in."""


def root_id(workspace_id: int) -> str:
    """Return the id of a workspace's root directory, which has no row."""
    return hashed_id("dir_", str(workspace_id), ROOT)


def parent_of(path: str) -> str:
    """Return the path of the directory something is in."""
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """Return the last part of a path."""
    return path.rpartition("/")[2]


def join(directory: str, name: str) -> str:
    """Return the path of something in a directory."""
    return f"{directory}/{name}" if directory else name


def is_within(path: str, directory: str) -> bool:
    """Tell whether a path is a directory's own or below it."""
    return not directory or path == directory or path.startswith(f"{directory}/")
