//! Sequential models of the public types, shared by the property tests and by fuzz/.
