"""What ``bp`` can check about a network."""
