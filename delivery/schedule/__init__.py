"""What is due: windows, slots, jobs, names, gaps; knows no rows and no server."""
