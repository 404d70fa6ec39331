"""`/v5/evaluators`: Evaluators as Files."""

from kibitz_collector.api.v5.contract import Owner
from kibitz_collector.api.v5.file_routes import FileRoutes
from kibitz_collector.api.v5.models.files import EvaluatorResponse, FileResponse
from kibitz_collector.api.v5.models.kernels import EvaluatorSpec, content_of
from kibitz_collector.api.v5.models.upserts import EvaluatorRequest

files = FileRoutes("evaluator", "evaluators", EvaluatorResponse)
router = files.router


@router.post("", operation_id="evaluators.upsert", response_model=EvaluatorResponse)
def upsert(caller: Owner, body: EvaluatorRequest) -> FileResponse:
    """Make an Evaluator or a new Version of it; equal specs are the same Version."""
    return files.upsert(caller, files.change(caller, body), content_of(body.spec, EvaluatorSpec))
