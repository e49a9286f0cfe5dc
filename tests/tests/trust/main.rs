//! Who is believed, as whom things run, how large they may be: the faults of the attack report, by number, each with
//! variants of its kind.

mod events;
mod going_over;
mod limits;
mod membership;
mod races;
mod reading;
mod rights;
mod subscriber;
mod told;
