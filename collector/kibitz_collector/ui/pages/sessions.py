"""Sessions: the list of conversations, and one of them turn by turn."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kibitz_collector.access.http import context
from kibitz_collector.store.queries import logs as log_queries
from kibitz_collector.store.queries import sessions as session_queries
from kibitz_collector.ui.messages import shown_messages
from kibitz_collector.ui.render import page

_MOST_TURNS = 100


def sessions_page(request: Request) -> Response:
    """Render the list."""
    caller = context(request)
    with caller.store.read() as session:
        found = session_queries.list_sessions(
            session, caller.workspace_id, cursor=request.query_params.get("cursor")
        )
    return page(request, "sessions.html", section="sessions", title="Sessions", sessions=found)


def session_page(request: Request) -> Response:
    """Render one conversation: a turn for each trace."""
    caller = context(request)
    session_id = request.path_params["session_id"]
    with caller.store.read() as session:
        summary = session_queries.get_session(session, caller.workspace_id, session_id)
        logs = session_queries.session_logs(session, caller.workspace_id, session_id)
        roots = [log for log in logs if log.trace_parent_id is None and log.parent_id is None]
        # Of a trace whose root is not here, its first Log is the turn.
        rooted = {log.trace_id for log in roots}
        for log in logs:
            if log.trace_id not in rooted:
                rooted.add(log.trace_id)
                roots.append(log)
        roots.sort(key=lambda log: (log.start_ns, log.seq))
        shown = roots[-_MOST_TURNS:]
        turns = [
            (log, log_queries.get_log(session, caller.workspace_id, log.id).body) for log in shown
        ]
    return page(
        request,
        "session.html",
        section="sessions",
        title=session_id,
        summary=summary,
        turns=[(log, body, shown_messages(body)) for log, body in turns],
        left_out=len(roots) - len(shown),
    )


routes = [
    Route("/sessions", sessions_page),
    Route("/sessions/{session_id:path}", session_page),
]
