"""
Pushes through Firebase Cloud Messaging, HTTP v1. Needs the extra `fcm`.
"""

from proxy_orchestration._extras import needs_extra

with needs_extra("fcm", "httpx", "h2", "google", needed_by="proxy_orchestration.push.fcm"):
    import google.auth as _google_auth  # noqa: F401 - the parts that need it may be loaded already
    import h2 as _h2  # noqa: F401 - httpx looks for it only when a client is made
    import httpx as _httpx  # noqa: F401 - as for google.auth

    from proxy_orchestration.push.fcm.credentials import FcmCredentials, FcmCredentialsError
    from proxy_orchestration.push.fcm.options import FcmOptions
    from proxy_orchestration.push.fcm.sender import FcmPushSender
    from proxy_orchestration.push.fcm.settings import FcmSettings

__all__ = ["FcmCredentials", "FcmCredentialsError", "FcmOptions", "FcmPushSender", "FcmSettings"]
