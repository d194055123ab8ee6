"""What MONAI's spatial transforms do to a distance map that they carry along: `measure` makes the table of a page."""
