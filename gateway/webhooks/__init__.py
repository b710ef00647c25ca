"""Events to where users want them: relayed, signed, sent until they are taken."""
