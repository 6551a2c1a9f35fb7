//! Medians, and numbers as people read them.

/// The middle of the values, or the mean of the two in the middle.
///
/// # Panics
///
/// If there is no value, or one is not a number.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The values a quarter and three quarters of the way up: between them lies the middle half.
///
/// # Panics
///
/// As [`median`].
pub(crate) fn quartiles(values: &[f64]) -> (f64, f64) {
    (quantile(values, 0.25), quantile(values, 0.75))
}

/// The value that this share of the others does not exceed, between two neighbours in proportion.
///
/// # Panics
///
/// As [`median`].
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    assert!(!values.is_empty(), "a quantile of nothing");
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("a measurement is a number"));
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

pub(crate) fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

pub(crate) fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// Three significant digits, without an exponent; thousands are grouped.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        v if v < 9.995 => format!("{value:.2}"),
        v if v < 99.95 => format!("{value:.1}"),
        v if v < 999.5 => format!("{value:.0}"),
        _ => {
            let digits = format!("{value:.0}");
            let mut grouped = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && digit != '-' && (digits.len() - at) % 3 == 0 && !grouped.ends_with('-')
                {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(median(&[5.0]), 5.0);
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(&[1.0, 1.0, 1.0, 1.0, 1e9, 1e9, 1e9]), 1.0);
    }

    #[test]
    #[should_panic(expected = "nothing")]
    fn the_median_of_nothing_is_refused() {
        median(&[]);
    }

    #[test]
    #[should_panic(expected = "is a number")]
    fn a_value_that_is_no_number_is_refused() {
        median(&[1.0, f64::NAN]);
    }

    #[test]
    fn half_of_the_values_lie_between_the_quartiles() {
        assert_eq!(quartiles(&[5.0]), (5.0, 5.0));
        assert_eq!(quartiles(&[7.0, 1.0, 6.0, 2.0, 5.0, 3.0, 4.0]), (2.5, 5.5));
        assert_eq!(quantile(&[0.0, 100.0], 0.99), 99.0);
    }

    #[test]
    fn least_and_greatest_frame_the_median() {
        let values = [3.0, 1.0, 2.0];
        assert_eq!((least(&values), greatest(&values)), (1.0, 3.0));
    }

    #[test]
    fn numbers_keep_three_digits() {
        let shown = [0.0, 1.234, 9.994, 9.996, 45.67, 99.96, 345.6, 999.6, 12345.0, 1234567.0];
        let wanted =
            ["0.00", "1.23", "9.99", "10.0", "45.7", "100", "346", "1,000", "12,345", "1,234,567"];
        assert_eq!(shown.map(short), wanted);
        assert_eq!(short(-123456.0), "-123,456");
    }
}
