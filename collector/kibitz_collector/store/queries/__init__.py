"""All reads: functions `(session, workspace_id, …) -> records`."""
