"""The `kibitz` command: finds its subcommands by entry point, as the SDK knows no collector."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points

GROUP = "kibitz.commands"
# Told apart from a typing mistake when the collector's packages are not installed.
COLLECTOR_COMMANDS = frozenset(
    [
        "serve",
        "worker",
        "demo",
        "tail",
        "keys",
        "migrate",
        "backup",
        "export",
        "import",
        "explain-span",
    ]
)
ADVICE = 'pip install "kibitz[collector]"'


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    commands = {entry.name: entry for entry in entry_points(group=GROUP)}
    name = arguments[0] if arguments else "help"
    if name in ("-h", "--help", "help"):
        print(usage(commands))
        return 0
    if name in ("-V", "--version"):
        from kibitz._record import VERSION

        print(f"kibitz {VERSION}")
        return 0
    if name not in commands:
        return _unknown(name, commands)
    return _run(commands[name], arguments[1:])


def _run(command: EntryPoint, arguments: list[str]) -> int:
    try:
        function = command.load()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not command.value.startswith("kibitz_collector") or missing == "kibitz":
            raise
        if missing == "kibitz_collector" and _is_installed("kibitz_collector"):
            return _say(f"kibitz {command.name}: not in this version")
        return _say(f"kibitz {command.name} needs the collector ({missing} is missing): {ADVICE}")
    try:
        return int(function(arguments) or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `kibitz tail | head`
        sys.stderr.close()
        return 0


def _is_installed(package: str) -> bool:
    try:
        __import__(package)
    except ImportError:
        return False
    return True


def _unknown(name: str, commands: dict[str, EntryPoint]) -> int:
    if name in COLLECTOR_COMMANDS:
        return _say(f"kibitz {name} needs the collector: {ADVICE}")
    return _say(f"kibitz: no command {name!r}; there are {', '.join(sorted(commands))}")


def _say(text: str) -> int:
    print(text, file=sys.stderr)
    return 2


def usage(commands: dict[str, EntryPoint]) -> str:
    """The help text: every installed command with the first line of its module."""
    lines = ["usage: kibitz COMMAND [arguments]", ""]
    lines += [f"  {name}" for name in sorted(commands)]
    return "\n".join([*lines, "", "kibitz COMMAND --help tells more."])


if __name__ == "__main__":
    sys.exit(main())
