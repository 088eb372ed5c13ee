"""
Notices, pushes and visibility in memory.
"""
