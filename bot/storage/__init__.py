"""The database: tables, migrations and the repositories that the services call."""
