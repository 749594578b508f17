"""The web page: what a browser loads. `service.web` serves it; `vendor/` is fetched, not ours."""
