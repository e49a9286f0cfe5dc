//! How large texts, records and shapes may be, and what happens when memory runs out.
