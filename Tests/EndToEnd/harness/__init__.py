"""What the end-to-end tests stand on: a scripted upstream, a raw HTTP client, and Turnpike as a process."""
