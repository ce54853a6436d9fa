"""Who a client is and what it may do: API keys, JSON Web Tokens, browser tokens, caps on calls.

The only importer of argon2 and joserfc.
"""
