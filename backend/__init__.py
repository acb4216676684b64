"""The service around the engine: settings, Label Studio, stored models, trainings, pages and commands."""
