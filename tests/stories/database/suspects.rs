//! Suspects: jobs that two workers were lost with are claimed alone.
