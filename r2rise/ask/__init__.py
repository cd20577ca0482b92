"""What can be asked of demonstrations: a file for each function and command."""
