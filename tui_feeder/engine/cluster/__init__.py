"""Many feeders share the symbols through Kafka: who has which, and what a new owner needs to go on."""
