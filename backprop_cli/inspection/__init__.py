"""What is shown of a network: the chain rule, derivatives at rows of data, the names of their axes."""
