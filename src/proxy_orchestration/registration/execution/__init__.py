"""
Execution of a run: the driver, its workers, and the calls of the service.
"""
