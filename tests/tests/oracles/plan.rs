//! Plans for scripts, generated and shrunk by proptest.
//!
//! The usual trees shrink number by number. A case takes a second here, so this one leaves out what it can in large
//! pieces first: half of the steps, a quarter …, a step; then half of a step's numbers, set to zero, a quarter …

use electric_tests::oracle::Item;
use proptest::prelude::Rng;
use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// Numbers of a step: more than most steps ask for.
const NUMBERS: usize = 100;

/// Plans of up to that many steps.
#[derive(Debug)]
pub struct Plans {
    pub steps: usize,
}

impl Strategy for Plans {
    type Tree = Plan;
    type Value = Vec<Item>;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let mut number = || {
            let bytes = runner.rng().next_u32().to_le_bytes();
            u16::from_le_bytes([bytes[0], bytes[1]])
        };
        let steps = 2 + usize::from(number()) % (self.steps - 1);
        let items = (0..steps).map(|_| (0..NUMBERS).map(|_| number()).collect());
        Ok(Plan::new(items.collect()))
    }
}

/// A plan that shrinks.
pub struct Plan {
    items: Vec<Item>,
    /// What it was before the last edit.
    before: Option<Vec<Item>>,
    next: Edit,
}

/// The next edit to try.
#[derive(Clone, Copy)]
enum Edit {
    /// Leave out that many steps from that one on.
    Steps { length: usize, from: usize },
    /// Set that many numbers of a step to zero.
    Numbers {
        item: usize,
        length: usize,
        from: usize,
    },
    /// Nothing is left to try.
    None,
}

impl Plan {
    fn new(items: Vec<Item>) -> Plan {
        let length = items.len() / 2;
        Plan {
            items,
            before: None,
            next: Edit::Steps { length, from: 1 },
        }
    }

    /// Tries the next edit that changes something; false if there is none.
    fn edit(&mut self) -> bool {
        loop {
            let mut items = self.items.clone();
            match self.next {
                Edit::None => return false,
                Edit::Steps { length: 0, .. } => {
                    self.next = Edit::Numbers {
                        item: 0,
                        length: NUMBERS / 2,
                        from: 0,
                    };
                    continue;
                }
                // The first step makes the tables: without it there is nothing.
                Edit::Steps { length, from } if from >= items.len() => {
                    self.next = Edit::Steps {
                        length: length / 2,
                        from: 1,
                    };
                    continue;
                }
                Edit::Steps { length, from } => {
                    let end = items.len().min(from + length);
                    items.drain(from..end);
                    // Where it works, others are in this place then; where not, `complicate` goes on behind.
                }
                Edit::Numbers { item, .. } if item >= items.len() => {
                    self.next = Edit::None;
                    continue;
                }
                Edit::Numbers {
                    item, length: 0, ..
                } => {
                    self.next = Edit::Numbers {
                        item: item + 1,
                        length: NUMBERS / 2,
                        from: 0,
                    };
                    continue;
                }
                Edit::Numbers { item, length, from } if from >= NUMBERS => {
                    self.next = Edit::Numbers {
                        item,
                        length: length / 2,
                        from: 0,
                    };
                    continue;
                }
                Edit::Numbers { item, length, from } => {
                    self.next = Edit::Numbers {
                        item,
                        length,
                        from: from + length,
                    };
                    let numbers = items[item].iter_mut().skip(from).take(length);
                    numbers.for_each(|number| *number = 0);
                }
            }
            if items != self.items {
                self.before = Some(std::mem::replace(&mut self.items, items));
                return true;
            }
        }
    }
}

impl ValueTree for Plan {
    type Value = Vec<Item>;

    fn current(&self) -> Vec<Item> {
        self.items.clone()
    }

    fn simplify(&mut self) -> bool {
        self.before = None;
        self.edit()
    }

    /// Takes the last edit back and tries the next one: what it was before is known to fail.
    fn complicate(&mut self) -> bool {
        let Some(before) = self.before.take() else {
            return false;
        };
        self.items = before;
        if let Edit::Steps { length, from } = self.next {
            self.next = Edit::Steps {
                length,
                from: from + length,
            };
        }
        self.edit()
    }
}
