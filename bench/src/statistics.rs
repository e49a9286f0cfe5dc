//! Medians and quartiles.

/// What a handful of values are about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The value in the middle.
    pub median: f64,
    /// Half the distance between the quartiles.
    pub spread: f64,
}

impl Summary {
    /// Of values in any order; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Summary> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Summary {
            median: quantile(&sorted, 0.5)?,
            spread: (quantile(&sorted, 0.75)? - quantile(&sorted, 0.25)?) / 2.0,
        })
    }
}

/// The value below which that part of the sorted values lies, between two of them if need be.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = part * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nothing_there_is_none() {
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn one_value_has_no_spread() {
        let summary = Summary {
            median: 3.0,
            spread: 0.0,
        };
        assert_eq!(Summary::of(&[3.0]), Some(summary));
    }

    #[test]
    fn outliers_do_not_count() {
        let summary = Summary {
            median: 3.0,
            spread: 1.0,
        };
        assert_eq!(Summary::of(&[900.0, 1.0, 3.0, 2.0, 4.0]), Some(summary));
        let between = Summary::of(&[2.0, 1.0]).map(|summary| summary.median);
        assert_eq!(between, Some(1.5));
    }
}
