"""Matches `*` patterns in time linear in the text: a pattern comes from anybody."""


def glob_match(pattern: str, text: str) -> bool:
    """Say whether the whole text matches; only `*` is special, it stands for any characters."""
    first, *middle = pattern.split("*")
    if not middle:
        return pattern == text
    last = middle.pop()
    if len(text) < len(first) + len(last):
        return False
    if not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def sqlite_glob(pattern: str) -> str:
    """Write the pattern for SQLite's GLOB, case-sensitive and able to use an index."""
    return "".join(f"[{c}]" if c in "?[" else c for c in pattern)


def sql_like(pattern: str) -> str:
    r"""Write the pattern for LIKE with `\` as escape."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
