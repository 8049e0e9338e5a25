"""What tests share: toys, servers on this machine, records, builds and stand-ins for other programs."""
