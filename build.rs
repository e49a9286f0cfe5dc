//! Names for the version differences that `src/pg/compat.rs` hides.

fn main() {
    cfg_aliases::cfg_aliases! {
        pre_pg16: { feature = "pg15" },
        pre_pg17: { any(feature = "pg15", feature = "pg16") },
        pre_pg18: { any(feature = "pg15", feature = "pg16", feature = "pg17") },
    }
}
