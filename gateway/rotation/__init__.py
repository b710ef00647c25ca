"""What was sealed under an older secret is sealed under the newest, while all goes on."""
