"""All that the API serves, put together: a daemon and a demonstration serve the same."""

from __future__ import annotations

from fastapi import FastAPI

from barostat.engine.control import Control
from barostat.history.history import History
from barostat.service.account_routes import add_account_routes
from barostat.service.app import create_app
from barostat.service.audit import Audit
from barostat.service.desk import LocalDesk
from barostat.service.doorkeeper import Doorkeeper
from barostat.service.metrics import Metrics, add_metrics_route
from barostat.service.stream import TickStream, add_stream_route
from barostat.service.web import add_web_routes

__all__ = ["whole_app"]


def whole_app(
    control: Control,
    *,
    history: History | None,
    stream: TickStream,
    metrics: Metrics,
    doorkeeper: Doorkeeper,
    audit: Audit,
) -> FastAPI:
    """Put the routes together: the desk, accounts, the live stream, metrics, and the web page."""
    app = create_app(LocalDesk(control, history), audit)
    add_account_routes(app, doorkeeper)
    add_stream_route(app, stream)
    add_metrics_route(app, metrics)
    add_web_routes(app)
    return app
