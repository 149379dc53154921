"""Training: the step as one program, the state it advances, and the loop that yields what happens."""
