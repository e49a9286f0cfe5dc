//! What the oracles found, each as the least script that showed it.
