"""What an operator said that a provider's own words of refusal mean."""
