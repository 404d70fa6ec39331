"""Kernels as text: what `serialize` and `deserialize` of Prompts and Agents share."""

from typing import TypeVar

from pydantic import ValidationError

from kibitz_collector.access.http import Context
from kibitz_collector.api.v5.file_routes import FileRoutes
from kibitz_collector.api.v5.models.kernels import ModelSettings
from kibitz_collector.errors import Invalid
from kibitz_collector.files import promptfile
from kibitz_collector.store.queries.files import get_version

Kernel = TypeVar("Kernel", bound=ModelSettings)


def serialized(
    files: FileRoutes,
    caller: Context,
    file_id: str,
    version_id: str | None,
    environment: str | None,
) -> str:
    """Return a Version as the text of its file.

    Raises: NotFound.
    """
    with caller.store.read() as session:
        _file, version = files.find(session, caller, file_id, version_id, environment)
        return promptfile.serialize(get_version(session, caller.workspace_id, version).content)


def read_kernel(text: str, kernel: type[Kernel]) -> Kernel:
    """Read the text of a file.

    Raises: Invalid, naming the field.
    """
    try:
        return kernel.model_validate(promptfile.deserialize(text))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
            for one in error.errors()[:10]
        )
        raise Invalid(f"the file is read but not understood: {problems}") from None
