"""The operators' desk, one module for each floor of the house."""
