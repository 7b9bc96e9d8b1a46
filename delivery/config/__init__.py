"""What people wrote: project, integrations, campaigns, datasets."""
