"""
Commands of the project.
"""
