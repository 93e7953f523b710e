"""Advisories on packages: what OSV publishes, kept on this machine and asked without a network."""
