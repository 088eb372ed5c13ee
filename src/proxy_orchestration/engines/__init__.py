"""
Adapters for engines that decide when a batch is driven; each needs its own extra.
"""
