"""
Engines that say when a batch is driven: one room for each, each an extra.
"""
