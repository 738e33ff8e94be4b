"""What an object of a team's shows by itself to be wrong, told when it is written."""
