"""Tables and figures of recorded trainings."""
