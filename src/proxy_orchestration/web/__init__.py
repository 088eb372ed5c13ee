"""
REST, live progress and readiness for a FastAPI host. Needs the extra `web`; asyncio only, as FastAPI is.
"""

from proxy_orchestration._extras import needs_extra

with needs_extra("web", "fastapi", "pydantic", "sse_starlette", needed_by="proxy_orchestration.web"):
    import sse_starlette as _sse_starlette  # noqa: F401 - the parts that need it may be loaded already

    from proxy_orchestration.web.actors import ActorDependency
    from proxy_orchestration.web.certificates import CertificatesOf
    from proxy_orchestration.web.router import create_router
    from proxy_orchestration.web.serving import create_health_router, lifespan
    from proxy_orchestration.web.settings import WebSettings

__all__ = [
    "ActorDependency",
    "CertificatesOf",
    "WebSettings",
    "create_health_router",
    "create_router",
    "lifespan",
]
