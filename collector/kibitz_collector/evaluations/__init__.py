"""Evaluations: runs of a File's Version over a Dataset, judged, counted and compared."""
