"""The native API: JSON for scripts and operators."""
