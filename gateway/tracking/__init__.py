"""Following orders at their upstreams until they end, and for some days after."""
