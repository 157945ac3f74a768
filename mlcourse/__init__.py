"""A course that makes machine-learning engineers: its lessons' code, exercises and command."""

__version__ = "0.1.0"
