"""``specchem doctor``: each line of the guide's Deployment Checklist and Monitoring list, tried on a live database."""
