"""From the configuration to the API: its routes, who may ask them, and where it is asked."""

from __future__ import annotations

from barostat.config.ranges import parts_of
from barostat.config.sections import HistorySection, ServiceSection
from barostat.daemon.parts import group_of
from barostat.engine.control import Control
from barostat.history.history import History
from barostat.service.audit import Audit, AuditLog
from barostat.service.doorkeeper import Doorkeeper
from barostat.service.metrics import Metrics
from barostat.service.server import ApiServer, Tcp
from barostat.service.stream import TickStream
from barostat.service.tls import TlsFiles
from barostat.service.tokens import TokenStore
from barostat.service.whole import whole_app

__all__ = ["api_of", "history_of"]


def history_of(section: HistorySection) -> History | None:
    """Make the history, if one is to be kept."""
    return None if section.path is None else History(section.path)


def api_of(
    section: ServiceSection,
    control: Control,
    *,
    history: History | None,
    stream: TickStream,
    metrics: Metrics,
) -> ApiServer:
    """Put the API together.

    Raises:
        InputError: the configuration names what is not there.
    """
    audit = Audit(AuditLog(), *(() if history is None else (history,)))
    doorkeeper = Doorkeeper(TokenStore(section.tokens))
    app = whole_app(
        control,
        history=history,
        stream=stream,
        metrics=metrics,
        doorkeeper=doorkeeper,
        audit=audit,
    )
    return ApiServer(
        app,
        doorkeeper,
        socket=section.socket,
        group=group_of(section),
        tcp=_tcp(section),
        audit=audit,
    )


def _tcp(section: ServiceSection) -> Tcp | None:
    if section.listen is None or section.certificate is None or section.key is None:
        return None
    address, port = parts_of(section.listen)
    files = TlsFiles(certificate=section.certificate, key=section.key, client_ca=section.client_ca)
    return Tcp(address=address, port=port, files=files)
