"""What managers and HR read; reads every domain, is read by none."""
