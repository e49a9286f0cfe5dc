//! Decisions read off a list of numbers: zero, and the end of the list, are the simplest choice, so that a plan
//! shrinks by leaving numbers out.

/// Reads decisions off numbers.
#[derive(Debug)]
pub struct Choices<'a> {
    numbers: std::slice::Iter<'a, u16>,
}

impl<'a> Choices<'a> {
    /// The decisions that these numbers make.
    pub fn new(numbers: &'a [u16]) -> Self {
        Choices {
            numbers: numbers.iter(),
        }
    }

    /// The next number.
    pub fn number(&mut self) -> usize {
        self.numbers.next().copied().unwrap_or(0).into()
    }

    /// A number below `count`; 0 if there is none.
    pub fn below(&mut self, count: usize) -> usize {
        self.number().checked_rem(count).unwrap_or(0)
    }

    /// True in that many of a hundred cases; false is simpler.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    /// One of them; the first is the simplest.
    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> Option<&'t T> {
        let place = self.below(of.len());
        of.get(place)
    }

    /// One of the texts, empty if there are none.
    pub fn text(&mut self, of: &[&'static str]) -> &'static str {
        self.pick(of).copied().unwrap_or_default()
    }
}
