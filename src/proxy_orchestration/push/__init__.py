"""
Where pushes go: one adapter per provider.
"""
