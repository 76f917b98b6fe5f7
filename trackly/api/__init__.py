"""/api/v2: what an account's own systems may ask and do, one module a noun. Nothing imports it but the URL table."""
