"""kibitz."""
