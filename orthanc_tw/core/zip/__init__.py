"""A ZIP64 writer whose members are deflated elsewhere: in threads, several at once."""
