"""
The models of requests and responses, with the names of the wire format.

Ours stay attrs: FastAPI refuses an attrs class as a response, and each side may grow by itself.
"""
