"""What may stand between a person and their datasets: each check has findings, with advice."""
