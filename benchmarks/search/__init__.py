"""What search costs and finds, beside asyncpg, PostgreSQL's defaults and other libraries."""
