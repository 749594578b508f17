"""Capacity planning: what a host's own recorded history says about the time to come."""
