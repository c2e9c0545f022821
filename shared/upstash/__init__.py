"""Redis over HTTP: the client with its defects fenced, and the scripts that do a run's work."""
