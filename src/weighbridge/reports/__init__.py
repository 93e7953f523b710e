"""A `Report` in the form that its reader wants. A reporter sees a report and nothing else."""
