"""Hosts and guests that never were: what a policy would have done with what VMs needed."""
