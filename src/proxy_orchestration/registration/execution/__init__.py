"""
While a run is driven: one driver, its workers, and the calls of the service.
"""
