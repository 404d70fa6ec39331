"""Evaluations: the list, and one of them: its runs side by side, the Logs of one run as judged."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kibitz_collector.access.http import Context, context
from kibitz_collector.evaluations.board import Board, read_board
from kibitz_collector.evaluations.report import verdict_lines
from kibitz_collector.evaluations.tending import catch_up
from kibitz_collector.store.queries import evaluations as queries
from kibitz_collector.store.queries.evaluations_logs import page_entries
from kibitz_collector.store.queries.files import get_files
from kibitz_collector.store.queries.logs import totals_of
from kibitz_collector.ui.render import page

_LOGS = 50
_EVALUATIONS = 50


def evaluations_page(request: Request) -> Response:
    """Render the list."""
    caller = context(request)
    at = _page_number(request)
    with caller.store.read() as session:
        found, total = queries.page_evaluations(
            session, caller.workspace_id, None, page=at, size=_EVALUATIONS
        )
        file_ids = {one.file_id for one in found if one.file_id is not None}
        files = get_files(session, caller.workspace_id, file_ids)
    return page(
        request,
        "evaluations.html",
        section="evaluations",
        title="Evaluations",
        evaluations=found,
        paths={file_id: file.path for file_id, file in files.items()},
        at=at,
        has_more=at * _EVALUATIONS < total,
    )


def evaluation_page(request: Request) -> Response:
    """Render one evaluation."""
    caller = context(request)
    board = _board(caller, request.path_params["evaluation_id"])
    chosen = _chosen_run(board, request.query_params.get("run"))
    at = _page_number(request)
    with caller.store.read() as session:
        entries, total = page_entries(
            session, caller.workspace_id, [chosen] if chosen else [], page=at, size=_LOGS
        )
        traces = [one.detail.summary.trace_id for one in entries if one.detail.summary.trace_id]
        totals = totals_of(session, caller.workspace_id, traces)
    return page(
        request,
        "evaluation.html",
        section="evaluations",
        title=board.evaluation.name or board.evaluation.id,
        board=board,
        columns=list(zip(board.runs, board.stats, strict=True)),
        rows=_rows(board),
        chosen=chosen,
        logs=[one.detail.summary for one in entries],
        totals=totals,
        at=at,
        has_more=at * _LOGS < total,
    )


def _board(caller: Context, evaluation_id: str) -> Board:
    with caller.store.read() as session:
        queries.get_evaluation(session, caller.workspace_id, evaluation_id)
        runs = queries.list_runs(session, evaluation_id)
    catch_up(caller.store, [placed.run.id for placed in runs])
    with caller.store.read() as session:
        evaluation = queries.get_evaluation(session, caller.workspace_id, evaluation_id)
        return read_board(session, caller.workspace_id, evaluation)


def _rows(board: Board) -> list[tuple[str, list[list[str]]]]:
    """Return a row for each Evaluator: its path, and what it says of each run."""
    if not board.stats:
        return []
    return [
        (one.judge.path, [verdict_lines(run.judges[place]) for run in board.stats])
        for place, one in enumerate(board.stats[0].judges)
    ]


def _chosen_run(board: Board, wanted: str | None) -> str | None:
    ids = [placed.run.id for placed in board.runs]
    if wanted in ids:
        return wanted
    return ids[0] if ids else None


def _page_number(request: Request) -> int:
    given = request.query_params.get("page", "")
    return max(1, int(given)) if given.isascii() and given.isdecimal() and len(given) < 7 else 1


routes = [
    Route("/evaluations", evaluations_page),
    Route("/evaluations/{evaluation_id}", evaluation_page),
]
