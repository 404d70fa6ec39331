"""`/v5/evaluators`: Evaluators as Files."""

from fastapi import Request

from kibitz_collector.api.v5.contract import Owner
from kibitz_collector.api.v5.file_routes import FileRoutes
from kibitz_collector.api.v5.models.files import EvaluatorResponse, FileResponse
from kibitz_collector.api.v5.models.kernels import EvaluatorSpec, content_of
from kibitz_collector.api.v5.models.upserts import EvaluatorRequest
from kibitz_collector.evaluate.source import check_evaluator

files = FileRoutes("evaluator", "evaluators", EvaluatorResponse)
router = files.router


@router.post("", operation_id="evaluators.upsert", response_model=EvaluatorResponse)
def upsert(caller: Owner, request: Request, body: EvaluatorRequest) -> FileResponse:
    """Make an Evaluator or a new Version of it; equal specs are the same Version."""
    if body.spec.evaluator_type == "python":
        source = {
            "evaluator_type": "code",
            "code": body.spec.code,
            "arguments_type": body.spec.arguments_type,
        }
        check_evaluator(source, request.app.state.sandbox)
    return files.upsert(caller, files.change(caller, body), content_of(body.spec, EvaluatorSpec))
