"""Files, whatever they contain: finished outputs, locks, resuming, fingerprints; no pixels."""
