"""The box itself: what it has, what it needs for itself, and how it fares."""
