"""What each chat service is sent: one pure dialect for each type of AlertProvider."""
