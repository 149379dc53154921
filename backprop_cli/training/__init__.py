"""Training: the step as one program, the state that it advances, and the loop that yields events."""
