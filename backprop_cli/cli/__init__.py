"""The command line: parses, calls one function of ``jobs``, shows the result. One file a command."""
