"""What a person types. stdout is data, stderr is talk; no traceback for a user's mistake."""
