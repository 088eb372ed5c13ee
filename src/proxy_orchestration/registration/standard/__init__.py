"""
The standard registration service, for hosts whose activities this library keeps.
"""
