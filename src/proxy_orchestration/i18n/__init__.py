"""
Dates and plurals of any language, through Babel. Needs the extra `i18n`.
"""

from proxy_orchestration._extras import needs_extra

with needs_extra("i18n", "babel", needed_by="proxy_orchestration.i18n"):
    from proxy_orchestration.i18n.catalogue import BabelCatalogue
    from proxy_orchestration.i18n.plurals import counted_days

__all__ = ["BabelCatalogue", "counted_days"]
