"""
Spans and metrics of OpenTelemetry for a host's own parts. Needs the extra `otel`.

`Telemetry` wraps the service, the stores and the sender that a host gives to
its orchestrators. Without it none of this is imported, and nothing is called
that would not be called otherwise.
"""

from proxy_orchestration._extras import needs_extra

with needs_extra("otel", "opentelemetry", needed_by="proxy_orchestration.telemetry"):
    import opentelemetry.trace as _trace  # noqa: F401 - the parts that need it may be loaded already

    from proxy_orchestration.telemetry.wrapping import Telemetry

__all__ = ["Telemetry"]
