"""The body: looks, has `core.decide` decide, and does what it says. Thin, bounded, asyncio."""
