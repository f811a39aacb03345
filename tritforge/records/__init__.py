"""What recorded trainings hold, in a form that whoever draws them can rely on."""
