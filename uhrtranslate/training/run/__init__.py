"""A training from start to end: steps, checkpoints, log, resuming; no method's losses."""
