//! Who may electrify, and whose policy counts.
