"""What is kept in the directory over restarts: whose it is, what was agreed, what was last said."""
