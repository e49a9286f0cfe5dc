//! What records tell, and to whom.
