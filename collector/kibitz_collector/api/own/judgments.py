"""`/api/judgments`: judgments given by people and programs."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from kibitz_collector.access.http import Context, full_context
from kibitz_collector.api.bodies import JsonRoute
from kibitz_collector.evaluate.feedback import give_judgment
from kibitz_collector.records import Where

router = APIRouter(prefix="/api", tags=["judgments"], route_class=JsonRoute)


class JudgmentIn(BaseModel):
    """One judgment of one Log."""

    log_id: str = Field(description="the judged Log")
    evaluator: str = Field(min_length=1, max_length=512, description="path of the evaluator")
    value: bool | float | str | list[str] | None = Field(
        description="in the evaluator's return type; null takes back what was said"
    )
    where: Where = "feedback"
    user: str | None = Field(None, max_length=256, description="who says so")
    explanation: str | None = Field(None, max_length=100_000)


class JudgmentOut(BaseModel):
    """What was stored."""

    id: str = Field(description="the judgment's own Log id")


@router.post("/judgments", status_code=201)
def post_judgment(
    judgment: JudgmentIn, caller: Annotated[Context, Depends(full_context)]
) -> JudgmentOut:
    """Judge a Log; the evaluator comes into being with its first judgment."""
    value: Any = judgment.value
    return JudgmentOut(
        id=give_judgment(
            caller.store,
            caller.workspace_id,
            judgment.log_id,
            judgment.evaluator,
            value,
            where=judgment.where,
            user=judgment.user,
            explanation=judgment.explanation,
        )
    )
