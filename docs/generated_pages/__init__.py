"""
Pages that are made of the code and of advice: `PYTHONPATH=docs python -m generated_pages` writes them.
"""
