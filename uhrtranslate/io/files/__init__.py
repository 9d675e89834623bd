"""Files, whatever is in them: complete outputs, locks, resuming, fingerprints, finding inputs."""
