"""Command-line flags generated from the settings, so that help, docs and code cannot disagree."""

import argparse
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from kibitz_collector.config import Settings
from kibitz_collector.errors import SetupError


def add_settings(parser: argparse.ArgumentParser, names: Sequence[str] | None = None) -> None:
    """Add one flag per settings field (only `names`, when given); unset flags stay out."""
    for name, field in Settings.model_fields.items():
        if names is not None and name not in names:
            continue
        flag = "--" + name.replace("_", "-")
        options: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS}
        options["help"] = (
            f"{field.description} (default: {field.default}; env KIBITZ_{name.upper()})"
        )
        if field.annotation is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif get_origin(field.annotation) is Literal:
            options["choices"] = get_args(field.annotation)
        parser.add_argument(flag, **options)


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Build the settings from parsed flags and the environment.

    Raises: SetupError, naming the value and what is wrong with it.
    """
    given = {
        name: value for name, value in vars(arguments).items() if name in Settings.model_fields
    }
    try:
        return Settings(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        raise SetupError(
            f"--{name.replace('_', '-')} / KIBITZ_{name.upper()}: {problem['msg']}"
            f" (got {problem.get('input')!r})"
        ) from None
