"""Whatever order raw data arrives in, what was built day by day is what one build of all of it makes."""
