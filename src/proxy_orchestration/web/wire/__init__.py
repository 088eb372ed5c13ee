"""
What goes over the wire, both ways, under the wire's names.

Ours stay attrs: FastAPI refuses an attrs class as a response, and each side may grow by itself.
"""
