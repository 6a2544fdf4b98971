"""What every layer must satisfy, run against ours."""
