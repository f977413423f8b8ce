"""One person: finding people, linking the Patient resources that are the same person, reviewing the doubtful."""
