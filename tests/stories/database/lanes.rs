//! Lanes: what holds a claim back, and what lets it through.
