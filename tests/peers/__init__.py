"""Tests over loopback against real processes: this server, its clients, its peers."""
