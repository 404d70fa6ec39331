"""All changes: functions `(session, ...) -> records`."""
