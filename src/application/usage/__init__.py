"""What models were asked, in sums, and how much of it is allowed."""
