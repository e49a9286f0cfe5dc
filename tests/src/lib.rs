//! The harness of the end-to-end tests: real servers, a real replication stream, a real SQLite replica.
