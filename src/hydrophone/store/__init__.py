"""DuckDB, its schema and migrations; label files."""
