"""Who starts the next run. Correctness never depends on it; only latency does."""
