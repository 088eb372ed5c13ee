"""
What the ports of registration promise.
"""
