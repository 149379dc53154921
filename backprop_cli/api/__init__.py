"""The Python API: what each command does, one function a file; prints nothing."""
