"""The data types that everything passes through; nothing here imports another room."""
