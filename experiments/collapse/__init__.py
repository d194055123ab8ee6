"""Which maps and schedules survive extreme imbalance, on two real patients; the evidence behind the defaults."""
