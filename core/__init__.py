"""True things: values and total functions. No clock, chance, I/O, logging or global state."""
