//! Functions that read run nothing of anybody's, and one damaged shape stops no other.
