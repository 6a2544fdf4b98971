"""What every sampler and every layer must satisfy, run against ours and anybody's."""
