//! The suites that every implementation of a store passes. They know the roles alone, and begin from an empty store.
