"""Units of work, one file for each thing that is stored: functions of a transaction or a reader."""
