"""The gateway at a glance, for operators."""
