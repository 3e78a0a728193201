"""The command line: every control command is one HTTP request, over the network or into the app in this process."""
