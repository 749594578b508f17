"""Measurements of ours beside what limits them. A benchmark reports; it never gates."""
