"""Orders whose sending has an unknown outcome: found by probes, resolved by taught words, and a pause before more."""
