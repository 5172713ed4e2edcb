"""The exported directory: walking it, opening its files safely, replacing them without loss."""
