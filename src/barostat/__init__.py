"""Barostat: Dynamic Memory for KVM."""

__version__ = "0.1.0"
