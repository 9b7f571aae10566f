//! What the supervisor and the gateway say to each other on one box (to be written).
