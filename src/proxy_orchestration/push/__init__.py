"""
Adapters that deliver pushes, one for each provider.
"""
