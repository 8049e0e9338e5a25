"""What each change of a recipe does to its scores: builds, their trainings, and a comparison by record."""
