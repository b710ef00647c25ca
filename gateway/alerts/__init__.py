"""What an operator should look at; rows only."""
