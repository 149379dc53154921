"""The command line: parses, calls one function of ``api``, shows the result. One file a command."""
