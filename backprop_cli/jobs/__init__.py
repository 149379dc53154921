"""What a command does, one function a file. It ties the packages together and prints nothing: the Python API."""
