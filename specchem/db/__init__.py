"""The database: its schema, its rules, its sessions. Knows no domain."""
