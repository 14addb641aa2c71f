"""Work for later: how jobs are asked for, worked, and told of."""
