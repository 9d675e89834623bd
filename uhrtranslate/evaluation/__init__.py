"""Evaluation of results, from files to a page; the formulas are in `metrics`."""
