"""What the backend stands: kills at random moments, and load. `python -m stress` runs both and prints tables."""
