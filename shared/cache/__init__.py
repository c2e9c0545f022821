"""What can be asked for again, kept for a while: in this process, or in one Redis for all."""
