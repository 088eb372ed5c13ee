"""
Activity records over PostgREST, such as on Supabase. Needs the extra `supabase`.

Records only: batches, runs and notices stay on SQL, by a connection string.
"""

from proxy_orchestration._extras import needs_extra

with needs_extra("supabase", "httpx", needed_by="proxy_orchestration.storage.postgrest"):
    import httpx as _httpx  # noqa: F401 - the parts that need it may be loaded already

    from proxy_orchestration.storage.postgrest.keys import KeySource
    from proxy_orchestration.storage.postgrest.records import PostgrestActivityRecords
    from proxy_orchestration.storage.postgrest.settings import PostgrestSettings

__all__ = ["KeySource", "PostgrestActivityRecords", "PostgrestSettings"]
