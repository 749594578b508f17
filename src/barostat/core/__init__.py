"""The brain: pure functions and frozen values. No I/O, no clock; time is an argument."""
