"""How guests are seen and resized: one Protocol (`base`), several hypervisors, one contract."""
