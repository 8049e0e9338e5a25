"""A new project: of people's own data, looked at first, or of a shipped example."""
