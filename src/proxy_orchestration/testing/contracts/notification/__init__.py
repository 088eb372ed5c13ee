"""
What the ports of notification promise.
"""
