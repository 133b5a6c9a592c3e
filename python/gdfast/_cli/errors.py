"""The error that ends a command."""

from __future__ import annotations


class CommandError(Exception):
    """A command cannot do what it is asked for. The message is one sentence for the user."""
